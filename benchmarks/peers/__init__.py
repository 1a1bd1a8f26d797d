"""One module per system: how it adds jobs, and how its worker runs them.

Each runs as a program in an environment of its own, so these modules import the system they are
about, `stage` and nothing else of this repository.
"""
