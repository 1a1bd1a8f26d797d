"""Compare the official worker with bullq's: `python -m tests.interop.official CHECKOUT`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.interop.official.suite import NOT_APPLICABLE, CannotRun, compare


def main(arguments: list[str]) -> int:
    """Print the table and all failures; give 1 where bullq's worker has one of its own."""
    if len(arguments) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        found = compare(Path(arguments[0]))
    except CannotRun as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{found.table()}\n")
    for title, outcomes in (("official", found.official), ("bullq", found.drop_in)):
        for file, outcome in outcomes.items():
            for name, why in outcome.failed.items():
                reason = NOT_APPLICABLE.get(name, why)
                sys.stdout.write(f"{title}: {file}.py {name}: {reason}\n")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
