"""bull-board, installed at first use and run on the application's queues."""
