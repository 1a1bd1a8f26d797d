"""Adapters that fit an engine to the context that business code sees."""
