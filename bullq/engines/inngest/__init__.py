"""Inngest as an engine: one function of it for each job, and the way to its server."""
