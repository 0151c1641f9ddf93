"""What a task does to batches: scan, evaluate, aggregate, exchange, merge, write."""
