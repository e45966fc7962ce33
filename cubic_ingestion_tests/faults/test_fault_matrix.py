"""Each fault at each transaction and call of a store, for each kind of load: afterwards all is as if there was none.

A cell is one kind, one fault and one call, and a test of its own: so they spread over all workers.
"""

import signal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import KILLS, Fault, FaultPlan
from cubic_ingestion_tests.faults.real_kills import Cell, kind_of, really_killed
from cubic_ingestion_tests.faults.stage import (
    DELIVERIES,
    contents,
    deliver,
    endings,
    heal,
    kept,
    stage_of,
    strike,
    strike_in_a_process,
)

pytestmark = pytest.mark.slow

N_CALLS = {"ods": 65, "ods changes": 65, "dmap": 50, "kafka": 50}
"""How many calls an undisturbed delivery makes. Tests are collected by number, since recording takes seconds."""
N_OPENED = {"ods": 6, "ods changes": 6, "dmap": 3, "kafka": 3}
"""How many of them open a body, which may end early."""


def cells(*faults: Fault) -> list[Any]:
    """Return each kind with each fault and the numbers of the calls that it may strike."""
    return [
        pytest.param(kind, fault, number, id=f"{kind}-{fault}-{number}")
        for kind in DELIVERIES
        for fault in faults
        for number in range((N_OPENED if fault is Fault.TRUNCATED else N_CALLS)[kind])
    ]


@cache
def calls_of(kind: str, fault: Fault) -> tuple[str, ...]:
    """Name the calls of an undisturbed delivery that a fault may strike."""
    if fault is Fault.TRUNCATED:
        return tuple(call for call in calls_of(kind, Fault.ERROR) if ".open" in call)
    if fault is not Fault.ERROR:
        return calls_of(kind, Fault.ERROR)
    with TemporaryDirectory() as folder:
        recorder = FaultPlan()
        strike(deliver(Path(folder), kind), recorder)
        return tuple(recorder.calls)


@cache
def real_kills() -> frozenset[Cell]:
    """Return the cells in which a process is really killed."""
    return really_killed({kind: calls_of(kind, Fault.ERROR) for kind in DELIVERIES}, KILLS)


@cache
def undisturbed(kind: str) -> tuple[object, ...]:
    """Return what a delivery leaves behind when nothing goes wrong."""
    with TemporaryDirectory() as folder:
        strike(deliver(Path(folder), kind), FaultPlan())
        return outcome(heal(stage_of(Path(folder), kind)), kind)


@cache
def of_both(kind: str) -> list[dict[str, object]]:
    """Return the rows of a delivery whose original is overwritten before anybody looks."""
    delivery = DELIVERIES[kind]
    with TemporaryDirectory() as folder:
        depot = stage_of(Path(folder), kind)
        delivery.put(depot, dict(delivery.files) | dict(delivery.other))
        return contents(heal(stage_of(Path(folder), kind)), kind)


def outcome(depot: Depot, kind: str) -> tuple[object, ...]:
    """Return the rows, what became of the loads, and where the originals are."""
    return contents(depot, kind), endings(depot), kept(depot)


@pytest.mark.parametrize("kind", DELIVERIES)
def test_each_call_of_an_undisturbed_delivery_has_its_cells(kind: str) -> None:
    assert len(calls_of(kind, Fault.ERROR)) == N_CALLS[kind]
    assert len(calls_of(kind, Fault.TRUNCATED)) == N_OPENED[kind]


def test_a_process_is_really_killed_at_each_kind_of_call() -> None:
    kinds = {kind_of(call) for kind in DELIVERIES for call in calls_of(kind, Fault.ERROR)}
    assert {kind_of(cell.call) for cell in real_kills()} == kinds


@pytest.mark.parametrize("kind", DELIVERIES)
def test_an_undisturbed_delivery_leaves_good_rows_and_a_rejected_load(tmp_path: Path, kind: str) -> None:
    strike(deliver(tmp_path, kind), FaultPlan())
    depot = heal(stage_of(tmp_path, kind))

    assert len(contents(depot, kind)) == 2
    assert {status for _, status, _ in endings(depot)} == {"archived", "errored"}
    assert len(of_both(kind)) == 3


@pytest.mark.parametrize(("kind", "fault", "number"), cells(Fault.ERROR, Fault.TIMEOUT, *KILLS, Fault.TRUNCATED))
def test_after_a_fault_all_is_as_if_nothing_had_happened(tmp_path: Path, kind: str, fault: Fault, number: int) -> None:
    at = calls_of(kind, fault)[number]
    depot = deliver(tmp_path, kind)
    if Cell(kind, fault, at) in real_kills():
        assert strike_in_a_process(tmp_path, kind, at, fault) == -signal.SIGKILL, at
    else:
        plan = FaultPlan(at, fault)
        strike(depot, plan)
        assert plan.is_spent, at
    healed = heal(stage_of(tmp_path, kind))

    assert outcome(healed, kind) == undisturbed(kind), at
    assert audit(healed.platform).findings == [], at
    assert healed.platform.ledger.deliveries[Consumer.CATALOG].backlog() == [], at


@pytest.mark.parametrize(("kind", "fault", "number"), cells(Fault.OVERWRITTEN))
def test_an_original_may_be_overwritten_at_any_moment(tmp_path: Path, kind: str, fault: Fault, number: int) -> None:
    at = calls_of(kind, fault)[number]
    delivery = DELIVERIES[kind]
    name = delivery.original.rpartition("/")[2]
    depot = deliver(tmp_path, kind)
    plan = FaultPlan(at, fault, overwrite=lambda: delivery.put(depot, delivery.other))
    strike(depot, plan)
    assert plan.is_spent, at
    healed = heal(stage_of(tmp_path, kind))

    *old, new = [(status, code) for file, status, code in endings(healed) if file == name]
    assert contents(healed, kind) == of_both(kind), at
    assert new == ("archived", ""), at
    assert old in ([], [("archived", "")], [("errored", "superseded")]), at
    # A version that was archived is kept byte for byte beside the one that took its place.
    both = [delivery.files[delivery.original], delivery.other[delivery.original]]
    archived = [path.read_bytes() for path in (tmp_path / "archive").rglob("*") if path.is_file() and path.name == name]
    assert sorted(archived) == sorted(both if old == [("archived", "")] else both[1:]), at
    assert healed.files("incoming") == [], at
    assert audit(healed.platform).findings == [], at
