"""A slice of the fault matrix on S3: what a store did though nobody was told, and kills right after it."""

import os
import signal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.on_s3 import ZONES, Bucket, mirrored
from cubic_ingestion_tests.faults.stage import contents, deliver, endings, heal, kept, stage_of, strike
from cubic_ingestion_tests.s3 import AWS_VARIABLES, name_s3, new_bucket, s3

__all__ = ["s3"]

pytestmark = pytest.mark.slow

KIND = "ods"
CHANGES = tuple(f"{zone}.{verb}" for zone in ZONES for verb in ("commit", "delete"))
"""The calls that change a store."""
N_CALLS = 8
"""How many such calls an undisturbed delivery makes."""


@pytest.fixture(params=[False, True], ids=["unversioned", "versioned"])
def bucket(request: pytest.FixtureRequest, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket."""
    name_s3(s3, monkeypatch)
    name = new_bucket(s3, is_versioned=request.param)
    return Bucket(name, {variable: os.environ[variable] for variable in AWS_VARIABLES})


@cache
def undisturbed() -> tuple[tuple[str, ...], tuple[object, ...]]:
    """Name the calls that change a store when nothing goes wrong in a folder, and what they leave behind."""
    recorder = FaultPlan()
    with TemporaryDirectory() as folder:
        strike(deliver(Path(folder), KIND), recorder)
        calls = tuple(call for call in recorder.calls if call.partition(" ")[0] in CHANGES)
        return calls, outcome(heal(stage_of(Path(folder), KIND)))


def outcome(depot: Depot) -> tuple[object, ...]:
    """Return the rows, what became of the loads, and where the originals are."""
    return contents(depot, KIND), endings(depot), kept(depot)


def test_each_call_that_changes_a_store_has_its_cells() -> None:
    assert len(undisturbed()[0]) == N_CALLS


@pytest.mark.parametrize("number", range(N_CALLS))
@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.KILLED_AFTER])
def test_after_a_fault_on_s3_all_is_as_in_a_folder_where_nothing_happened(
    tmp_path: Path, bucket: Bucket, fault: Fault, number: int
) -> None:
    calls, expected = undisturbed()
    depot = bucket.deliver(tmp_path, KIND)
    if fault is Fault.KILLED_AFTER:
        assert bucket.strike_in_a_process(tmp_path, KIND, calls[number], fault) == -signal.SIGKILL, calls[number]
    else:
        plan = FaultPlan(calls[number], fault)
        strike(depot, plan)
        assert plan.is_spent, calls[number]
    healed = mirrored(heal(bucket.opened(tmp_path, KIND)))

    assert outcome(healed) == expected, calls[number]
    assert audit(healed.platform).findings == [], calls[number]
    assert healed.platform.ledger.deliveries[Consumer.CATALOG].backlog() == [], calls[number]
