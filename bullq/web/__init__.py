"""The endpoint that lets Inngest run an application's jobs, alone or inside a web application."""

from bullq.web.mounting import mount
from bullq.web.serving import asgi

__all__ = ["asgi", "mount"]
