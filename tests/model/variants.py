"""The protocols that were thought of, from the obvious one to ours, each by what it adds."""

from __future__ import annotations

from dataclasses import replace

from tests.model.variant import Variant

PLAIN = Variant(returns_after_add=True, when_unsure="raise")
OBVIOUS = Variant(when_unsure="send", event_id=False)
OBVIOUS_ID = replace(OBVIOUS, event_id=True)
REMOVE = Variant(settle_by="job.remove")
SCRIPT = Variant()
TOMBSTONE = replace(SCRIPT, tombstone=True)
MEMORY_OUTBOX = replace(TOMBSTONE, outbox="memory", cut_off="outbox")
DISK_OUTBOX = replace(MEMORY_OUTBOX, outbox="disk")
HELD = replace(TOMBSTONE, routed_list=True, sweeper=True)
RUN_ANYWAY = replace(HELD, cut_off="send")
GUARDED = replace(HELD, guard=True, cut_off="guarded")
EVIDENCE = replace(GUARDED, evidence=True)
OUTBOX = replace(EVIDENCE, outbox="disk")
ARBITERS_BARRIER = replace(OUTBOX, barrier=frozenset({"arbiter"}))
STRICT_CLAIM = replace(OUTBOX, barrier=frozenset({"arbiter", "worker"}), started=True)
RUNS_MISSING = replace(STRICT_CLAIM, runs_missing=True)
STRICT = replace(RUNS_MISSING, epoch="remembered")
JOURNAL = replace(STRICT, journal=True)
FENCE = replace(RUN_ANYWAY, started=True, fence=True)
GRANT = replace(TOMBSTONE, grant=True, started=True, outbox="disk")
GRANT_FOREIGN = replace(GRANT, started=False)
CHOSEN = replace(OUTBOX, epoch="remembered")

VARIANTS = {
    "0 plain BullMQ: add, return": PLAIN,
    "A timeout or error: send, random event id": OBVIOUS,
    "B A + event id = job id": OBVIOUS_ID,
    "C official job.remove(), then send": REMOVE,
    "D settle by script, no tombstone": SCRIPT,
    "E D + tombstone": TOMBSTONE,
    "F E + outbox in memory, in doubt: return": MEMORY_OUTBOX,
    "G E + outbox on disk, in doubt: return": DISK_OUTBOX,
    "H E + ROUTED list, sweeper; in doubt: run": RUN_ANYWAY,
    "I H, in doubt: hold the caller": HELD,
    "J H, in doubt: guarded event": GUARDED,
    "K J + returns only on evidence": EVIDENCE,
    "L K + outbox on disk": OUTBOX,
    "L with the epoch (ours)": CHOSEN,
    "M L + arbiter's barrier": ARBITERS_BARRIER,
    "N L + barrier everywhere, started, strict": STRICT_CLAIM,
    "O N + a missing record runs": RUNS_MISSING,
    "T O + epoch (ours, strict)": STRICT,
    "U T + journal": JOURNAL,
    "P deadline fence only; in doubt: run": FENCE,
    "Q two-phase grant": GRANT,
    "S two-phase grant, foreign workers": GRANT_FOREIGN,
}

OURS = {name: variant for name, variant in VARIANTS.items() if variant in (CHOSEN, STRICT)}
