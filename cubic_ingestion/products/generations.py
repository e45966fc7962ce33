"""Which generation of an ODS table its ``__current`` shows, and what is wrong with it.

The rule itself is in ``domain/generation.py``.
"""

from dataclasses import replace
from datetime import timedelta

from cubic_ingestion.domain.generation import Choice, Generation, choose_generation
from cubic_ingestion.domain.table import Table
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.streams.ods import load_counter


def choose(platform: Platform, base: Table) -> Choice:
    """Choose the generation of a base table to show now; nothing is changed."""
    shown = platform.ledger.generations.shown(base.name)
    newer = platform.ledger.generations.newer(base.name, shown.newer_than)
    settle = timedelta(seconds=platform.limits.snapshot_settle_seconds)
    return choose_generation([_counted(each) for each in newer], shown, platform.clock.now(), settle)


def lacking(platform: Platform, base: Table, generation: str) -> str | None:
    """Say why a generation that is shown is not complete: a LOAD file of it is in Error. None if none is."""
    found = platform.ledger.generations.named(base.name, generation)
    return found.lacks if found else None


def _counted(generation: Generation) -> Generation:
    """Read the counters of the LOAD files from their names."""
    files = [replace(each, counter=load_counter(each.key.rpartition("/")[2])) for each in generation.files]
    return replace(generation, files=files)
