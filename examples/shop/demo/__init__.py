"""`make demo`: the shop on a busy day, on three queues with a worker process each."""
