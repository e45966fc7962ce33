"""A slice of the fault matrix on S3: what a store did though nobody was told, and kills right after it."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.on_s3 import Bucket, mirrored
from cubic_ingestion_tests.faults.stage import contents, deliver, endings, heal, kept, strike
from cubic_ingestion_tests.s3 import AWS_VARIABLES, name_s3, new_bucket, s3

__all__ = ["s3"]

KIND = "ods"
CHANGES = ("commit", "delete")
"""What a call that changes a store is named by."""


@pytest.fixture(params=[False, True], ids=["unversioned", "versioned"])
def bucket(request: pytest.FixtureRequest, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket."""
    name_s3(s3, monkeypatch)
    name = new_bucket(s3, is_versioned=request.param)
    return Bucket(name, {variable: os.environ[variable] for variable in AWS_VARIABLES})


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.KILLED_AFTER])
def test_after_a_fault_on_s3_all_is_as_in_a_folder_where_nothing_happened(
    tmp_path: Path, bucket: Bucket, fault: Fault
) -> None:
    (tmp_path / "undisturbed").mkdir()
    recorder = FaultPlan()
    strike(deliver(tmp_path / "undisturbed", KIND), recorder)
    undisturbed = heal(tmp_path / "undisturbed")
    expected = contents(undisturbed, KIND), endings(undisturbed), kept(undisturbed)
    calls = [call for call in recorder.calls if any(name in call for name in CHANGES)]
    assert len(calls) >= 8

    wrong: list[str] = []
    for number, call in enumerate(calls):
        root = tmp_path / str(number)
        root.mkdir()
        depot = bucket.deliver(root, KIND)
        if fault is Fault.KILLED_AFTER:
            assert bucket.strike_in_a_process(root, call, fault) == -signal.SIGKILL
        else:
            plan = FaultPlan(call, fault)
            strike(depot, plan)
            assert plan.is_spent
        healed = mirrored(heal(root, bucket.opened))
        found = contents(healed, KIND), endings(healed), kept(healed)
        if found != expected or audit(healed.platform).findings or healed.platform.repository.catalog_backlog():
            wrong.append(call)
    assert wrong == []
