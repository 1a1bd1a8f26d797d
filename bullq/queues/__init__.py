"""Queues: their specs, the registry of live ones, schedules, results and inspection."""
