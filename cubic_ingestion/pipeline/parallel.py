"""Parallel: several small loads at once, since most of the time goes into waiting for the store; large ones alone."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from cubic_ingestion.domain.load import Load

LARGE_BYTES = 4 << 20
"""A load from this size on fills the machine by itself, and its buffers should stand in memory once."""

Outcome = TypeVar("Outcome")


def in_parallel(
    work: Callable[[Load], Outcome], loads: Sequence[Load], at_once: int, *, large_bytes: float = LARGE_BYTES
) -> list[Outcome]:
    """Apply ``work`` to each load.

    Args:
        work: Called from several threads.
        loads: The loads.
        at_once: How many small loads are worked on at the same time.
        large_bytes: Loads from this size on are worked on one by one, after the others.

    Returns:
        The outcomes in the order of ``loads``. If one raises, the others still end, then it is raised here.
    """
    small = [load for load in loads if load.version.size_bytes < large_bytes]
    if at_once == 1 or len(small) <= 1:
        return [work(load) for load in loads]
    context = copy_context()  # what is logged in a thread says what its caller's lines say
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        done = pool.map(lambda load: context.copy().run(work, load), small)
        outcomes = dict(zip((load.id for load in small), done, strict=True))
    return [outcomes[load.id] if load.id in outcomes else work(load) for load in loads]
