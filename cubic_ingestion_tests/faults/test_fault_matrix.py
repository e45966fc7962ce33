"""Each fault at each call over the ports, for each kind of load: afterwards all is as if nothing had happened."""

import signal
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.stage import (
    DELIVERIES,
    contents,
    deliver,
    endings,
    heal,
    kept,
    stage,
    strike,
    strike_in_a_process,
)

KILLED = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)


@lru_cache
def calls_of(kind: str) -> tuple[str, ...]:
    """Name the calls that an undisturbed delivery makes."""
    with TemporaryDirectory() as folder:
        recorder = FaultPlan()
        strike(deliver(Path(folder), kind), recorder)
        return tuple(recorder.calls)


def struck(root: Path, kind: str, at: str, fault: Fault) -> Depot:
    """Deliver, strike, and let new processes heal it."""
    root.mkdir()
    depot = deliver(root, kind)
    if fault in KILLED:
        assert strike_in_a_process(root, at, fault) == -signal.SIGKILL
    else:
        plan = FaultPlan(at, fault)
        strike(depot, plan)
        assert plan.is_spent
    return heal(root)


def wrong(root: Path, kind: str, fault: Fault, is_as_expected: Callable[[Depot], bool]) -> list[str]:
    """Return the calls after whose fault something is not as expected."""
    calls = [call for call in calls_of(kind) if fault is not Fault.TRUNCATED or ".open" in call]
    assert calls
    return [
        call
        for number, call in enumerate(calls)
        if (depot := struck(root / str(number), kind, call, fault))
        and not (
            is_as_expected(depot)
            and audit(depot.platform).findings == []
            and depot.platform.repository.catalog_backlog() == []
        )
    ]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.TIMEOUT, *KILLED, Fault.TRUNCATED])
@pytest.mark.parametrize("kind", DELIVERIES)
def test_after_a_fault_all_is_as_if_nothing_had_happened(tmp_path: Path, kind: str, fault: Fault) -> None:
    (tmp_path / "undisturbed").mkdir()
    strike(deliver(tmp_path / "undisturbed", kind), FaultPlan())
    undisturbed = heal(tmp_path / "undisturbed")
    expected = contents(undisturbed, kind), endings(undisturbed), kept(undisturbed)
    assert len(expected[0]) == 2
    assert {status for _, status, _ in expected[1]} == {"archived", "errored"}

    assert (
        wrong(tmp_path, kind, fault, lambda depot: (contents(depot, kind), endings(depot), kept(depot)) == expected)
        == []
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", DELIVERIES)
def test_an_original_may_be_overwritten_at_any_moment(tmp_path: Path, kind: str) -> None:
    delivery = DELIVERIES[kind]
    name = delivery.original.rpartition("/")[2]
    (tmp_path / "undisturbed").mkdir()
    undisturbed = stage(tmp_path / "undisturbed")
    delivery.put(undisturbed, dict(delivery.files) | dict(delivery.other))
    expected = contents(heal(tmp_path / "undisturbed"), kind)
    assert len(expected) == 3

    def overwritten(root: Path, at: str) -> Depot:
        root.mkdir()
        depot = deliver(root, kind)
        plan = FaultPlan(at, Fault.OVERWRITTEN, overwrite=lambda: delivery.put(depot, delivery.other))
        strike(depot, plan)
        assert plan.is_spent
        return heal(root)

    def is_sound(depot: Depot) -> bool:
        *old, new = [(status, code) for file, status, code in endings(depot) if file == name]
        archived = [
            path.read_bytes() for path in (depot.root / "archive").rglob("*") if path.is_file() and path.name == name
        ]
        both = [delivery.files[delivery.original], delivery.other[delivery.original]]
        return (
            contents(depot, kind) == expected
            and new == ("archived", "")
            and old in ([], [("archived", "")], [("errored", "superseded")])
            # A version that was archived is kept byte for byte beside the one that took its place.
            and sorted(archived) == sorted(both if old == [("archived", "")] else both[1:])
            and not depot.files("incoming")
            and audit(depot.platform).findings == []
        )

    calls = calls_of(kind)
    assert [call for number, call in enumerate(calls) if not is_sound(overwritten(tmp_path / str(number), call))] == []
