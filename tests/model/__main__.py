"""Print what the model says: python -m tests.model [--table | --way VARIANT FAULTS]."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping

from tests.model.faults import FAULT_SETS
from tests.model.search import check
from tests.model.trials import ABLATIONS, EXTENSIONS, Trial
from tests.model.variant import Variant
from tests.model.variants import OURS, VARIANTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--table", action="store_true", help="every variant, not ours alone")
    parser.add_argument(
        "--way",
        nargs=2,
        metavar=("VARIANT", "FAULTS"),
        help="the shortest way to each flaw, e.g. --way 'K ' 'R empty'",
    )
    told = parser.parse_args()
    begun = time.perf_counter()
    if told.way:
        _print_ways(*told.way)
        return
    states = _print_table(VARIANTS if told.table else OURS)
    states += _print_trials("Without", ABLATIONS)
    for name, trials in EXTENSIONS.items():
        states += _print_trials(name.capitalize(), trials)
    _print(f"\n{states:,} states, {time.perf_counter() - begun:.0f} s")


def _print_table(variants: Mapping[str, Variant]) -> int:
    """Print a Markdown table of *variants* and all sets of faults; give the number of states."""
    states = 0
    _print("| variant | " + " | ".join(faults.name for faults in FAULT_SETS) + " |")
    _print("|---" * (len(FAULT_SETS) + 1) + "|")
    for name, variant in variants.items():
        row = [check(variant, faults) for faults in FAULT_SETS]
        states += sum(found.states for found in row)
        _print(f"| {name} | " + " | ".join(map(str, row)) + " |")
    return states


def _print_trials(title: str, trials: Iterable[Trial]) -> int:
    states = 0
    _print(f"\n| {title} | faults | found |\n|---|---|---|")
    for trial in trials:
        found = trial.run()
        states += found.states
        as_expected = "" if str(found) == trial.expected else f" (expected: {trial.expected})"
        _print(f"| {trial.name} | {trial.faults.name} | {found}{as_expected} |")
    return states


def _print_ways(name: str, fault_set: str) -> None:
    """Print the shortest way to each flaw of the variants whose names begin with *name*."""
    for variant in (v for full, v in VARIANTS.items() if full.startswith(name)):
        for faults in (f for f in FAULT_SETS if f.name == fault_set):
            for flaw, way in check(variant, faults).ways.items():
                _print(f"{flaw}\n  " + "\n  ".join(way))


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
