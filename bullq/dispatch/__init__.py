"""Send jobs to their queues, and wait for what comes of them."""
