"""A small shop: its jobs, and the few things they work with."""
