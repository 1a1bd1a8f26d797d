"""Run the command line as `python -m bullq_cli`."""

from __future__ import annotations

import sys

from bullq_cli import main

if __name__ == "__main__":
    sys.exit(main())
