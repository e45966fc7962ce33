"""What a test may cost: one that costs more fails, unless it is marked ``slow``."""

import os
from collections.abc import Generator

import pytest

CPU_SECONDS = 30.0
"""Of the processor, with those of processes that ended. Three times what any unmarked test takes: on a
busy machine, whose processors share caches, the same work takes up to twice as many."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail a test that is over the budget."""
    before = _cpu_seconds()
    yield
    spent = _cpu_seconds() - before
    if spent > CPU_SECONDS and item.get_closest_marker("slow") is None:
        pytest.fail(f"{spent:.1f} s of processor time: at most {CPU_SECONDS} without the mark 'slow'", pytrace=False)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
