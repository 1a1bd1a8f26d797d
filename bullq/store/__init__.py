"""The only code that talks to Redis: connections, scripts, the embedded server."""
