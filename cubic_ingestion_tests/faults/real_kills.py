"""Which kills of a fault matrix are a real SIGKILL: a seeded sample. In all other cells a kill is an exception."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from random import Random
from typing import NamedTuple

from cubic_ingestion_tests.faults.faulty import Fault

SEED = 20220304
N_OF_EACH = 2
"""How many cells with each kind of call are in the sample."""


class Cell(NamedTuple):
    """One fault at one call of one story."""

    story: str
    fault: Fault
    call: str


def really_killed(calls: Mapping[str, Iterable[str]], faults: Iterable[Fault]) -> frozenset[Cell]:
    """Choose cells such that a real SIGKILL strikes each kind of call.

    Args:
        calls: Names of the calls that may be struck, by story.
        faults: Kinds of kills.
    """
    by_kind: dict[str, list[Cell]] = defaultdict(list)
    for story, names in calls.items():
        for name in names:
            by_kind[kind_of(name)] += [Cell(story, fault, name) for fault in faults]
    seeded = Random(SEED)  # noqa: S311 - the same sample each time
    return frozenset(cell for cells in by_kind.values() for cell in seeded.sample(cells, min(N_OF_EACH, len(cells))))


def kind_of(call: str) -> str:
    """Return a call's zone and verb, or the first statement of a transaction: ``database.update cubic_loads``."""
    verb, *rest = call.partition(",")[0].split()
    return f"{verb} {rest[0]}" if verb.startswith("database.") else verb
