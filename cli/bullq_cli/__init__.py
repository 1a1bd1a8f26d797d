"""The command line of bullq."""

from __future__ import annotations

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit code; *arguments* None are the process' own."""
    try:
        from bullq_cli.app import run  # whoever imports the package does not pay for Typer
    except KeyboardInterrupt:
        return 130  # nothing has begun; the traceback would be Typer's

    return run(arguments)
