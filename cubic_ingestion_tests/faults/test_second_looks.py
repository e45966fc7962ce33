"""Faults while loads are retried, replayed, taken out of quarantine or superseded: as if nothing had happened."""

import signal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.real_kills import Cell, kind_of, really_killed
from cubic_ingestion_tests.faults.second_looks import (
    STORIES,
    ask_again,
    outcome,
    prepare,
    strike_a_story,
    strike_a_story_in_a_process,
)

pytestmark = pytest.mark.slow

N_CALLS = {"retry": 43, "replay": 38, "superseding": 65}
"""How many calls an undisturbed story makes. Tests are collected by number, since recording takes seconds."""
N_OPENED = {"retry": 2, "replay": 2, "superseding": 5}
"""How many of them open a body, which may end early."""
FAULTS = (Fault.ERROR, Fault.TIMEOUT, Fault.KILLED_AFTER, Fault.TRUNCATED)
"""A kill before a call is one after the call before it."""


def cells() -> list[Any]:
    """Return each story with each fault and the numbers of the calls that it may strike."""
    return [
        pytest.param(story, fault, number, id=f"{story}-{fault}-{number}")
        for story in STORIES
        for fault in FAULTS
        for number in range((N_OPENED if fault is Fault.TRUNCATED else N_CALLS)[story])
    ]


@cache
def undisturbed(story: str) -> tuple[tuple[str, ...], tuple[object, ...]]:
    """Name the calls of a story in which nothing goes wrong, and its outcome."""
    recorder = FaultPlan()
    with TemporaryDirectory() as folder:
        prepare(Path(folder), story)
        strike_a_story(Path(folder), story, recorder)
        return tuple(recorder.calls), outcome(ask_again(Path(folder), story))


def calls_of(story: str, fault: Fault) -> list[str]:
    """Name the calls of an undisturbed story that a fault may strike."""
    return [call for call in undisturbed(story)[0] if fault is not Fault.TRUNCATED or ".open" in call]


@cache
def real_kills() -> frozenset[Cell]:
    """Return the cells in which a process is really killed."""
    return really_killed({story: undisturbed(story)[0] for story in STORIES}, [Fault.KILLED_AFTER])


def test_a_process_is_really_killed_at_each_kind_of_call() -> None:
    kinds = {kind_of(call) for story in STORIES for call in undisturbed(story)[0]}
    assert {kind_of(cell.call) for cell in real_kills()} == kinds


@pytest.mark.parametrize("story", STORIES)
def test_each_call_of_an_undisturbed_story_has_its_cells(story: str) -> None:
    assert len(calls_of(story, Fault.ERROR)) == N_CALLS[story]
    assert len(calls_of(story, Fault.TRUNCATED)) == N_OPENED[story]


@pytest.mark.parametrize(("story", "fault", "number"), cells())
def test_a_second_look_at_a_load_survives_a_fault(tmp_path: Path, story: str, fault: Fault, number: int) -> None:
    at = calls_of(story, fault)[number]
    prepare(tmp_path, story)
    if Cell(story, fault, at) in real_kills():
        assert strike_a_story_in_a_process(tmp_path, story, at, fault) == -signal.SIGKILL, at
    else:
        plan = FaultPlan(at, fault)
        strike_a_story(tmp_path, story, plan)
        assert plan.is_spent, at
    depot = ask_again(tmp_path, story)

    assert outcome(depot) == undisturbed(story)[1], at
    assert audit(depot.platform).n_findings == 0, at
