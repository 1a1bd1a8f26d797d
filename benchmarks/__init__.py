"""How fast bullq is, beside Node's BullMQ and other queues: run it with `python -m benchmarks`."""
