"""Faults while loads are retried, replayed, taken out of quarantine or superseded: as if nothing had happened."""

import signal
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.second_looks import (
    STORIES,
    ask_again,
    outcome,
    prepare,
    strike_a_story,
    strike_a_story_in_a_process,
)


@lru_cache
def undisturbed(story: str) -> tuple[tuple[str, ...], tuple[object, ...]]:
    """Name the calls of a story in which nothing goes wrong, and its outcome."""
    recorder = FaultPlan()
    with TemporaryDirectory() as folder:
        prepare(Path(folder), story)
        strike_a_story(Path(folder), story, recorder)
        return tuple(recorder.calls), outcome(ask_again(Path(folder), story))


def struck(root: Path, story: str, at: str, fault: Fault) -> Depot:
    """Tell a story with a fault, and let new processes end it."""
    root.mkdir()
    prepare(root, story)
    if fault is Fault.KILLED_AFTER:
        assert strike_a_story_in_a_process(root, story, at, fault) == -signal.SIGKILL
    else:
        plan = FaultPlan(at, fault)
        strike_a_story(root, story, plan)
        assert plan.is_spent
    return ask_again(root, story)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.TIMEOUT, Fault.KILLED_AFTER, Fault.TRUNCATED])
@pytest.mark.parametrize("story", STORIES)
def test_a_second_look_at_a_load_survives_a_fault(tmp_path: Path, story: str, fault: Fault) -> None:
    # A kill before a call is one after the call before it.
    calls, expected = undisturbed(story)
    struck_at = [call for call in calls if fault is not Fault.TRUNCATED or ".open" in call]
    assert struck_at
    assert [
        call
        for number, call in enumerate(struck_at)
        if (depot := struck(tmp_path / str(number), story, call, fault))
        and (outcome(depot) != expected or audit(depot.platform).n_findings)
    ] == []
