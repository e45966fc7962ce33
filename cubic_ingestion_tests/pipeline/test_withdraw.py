"""Rows that were published by a try that died before it put them on record, and that no later try replaces."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import OnBadValue, StreamName, Table
from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.ledger.claims import Claims
from cubic_ingestion.ledger.outcomes import Outcomes
from cubic_ingestion.ledger.transactions import Part
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.pipeline.claim import Claim
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.write import Written
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot

HEADER = b"sample_id,sample_name,sample_count\n"
OLD, NEW, DAMAGED = HEADER + b"1,old,5\n", HEADER + b"2,new,6\n3,new,7\n", b"\x1f\x8b damaged"
KEY = "cubic/dmap/agg_sample/20220304.csv"


class Killed(BaseException):
    """The process is no more."""


@contextmanager
def killed_before(monkeypatch: pytest.MonkeyPatch, part: type[Part], step: str) -> Generator[None]:
    """Let a step of the ledger not be reached, and the time of claims run out."""

    def never(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(part, step, never)
        yield
        pytest.fail(f"{step} was not reached")


def die_unrecorded(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish what there is to publish, and die before it is on record."""
    with killed_before(monkeypatch, Outcomes, "complete_ingest"):
        depot.ingest()
    depot.clock.advance(seconds=depot.platform.limits.claim_timeout_seconds)


def names(depot: Depot, table: Table | None = None) -> list[object]:
    """Return a column of a table, once it is sure that every other promise holds too."""
    assert list(audit(depot.platform).findings) == []
    return [row["sample_name"] for row in depot.rows(table or a_table())]


def test_rows_of_a_version_that_is_superseded_before_they_are_on_record_go(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.put(KEY, OLD)
    die_unrecorded(depot, monkeypatch)
    depot.put(KEY, DAMAGED)
    depot.settle()

    assert [load.status for load in depot.loads()] == [LoadStatus.ERRORED, LoadStatus.ERRORED]
    assert names(depot) == []


def test_rows_go_also_where_a_newer_version_was_to_take_their_place_and_could_not(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.put(KEY, OLD)
    die_unrecorded(depot, monkeypatch)
    depot.put(KEY, NEW)
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    depot.put(KEY, DAMAGED)
    depot.settle()

    assert [load.status for load in depot.loads()] == [LoadStatus.ERRORED] * 3
    assert names(depot) == []


@pytest.mark.parametrize("new", [NEW, HEADER], ids=["rows", "no rows"])
@pytest.mark.slow
def test_the_rows_that_they_covered_come_back(depot: Depot, monkeypatch: pytest.MonkeyPatch, new: bytes) -> None:
    depot.put(KEY, OLD)
    depot.settle()
    depot.put(KEY, new)
    die_unrecorded(depot, monkeypatch)
    (depot.root / "incoming" / KEY).unlink()
    depot.settle()

    assert names(depot) == ["old"]


def test_rows_do_not_stay_in_a_snapshot_that_their_load_has_left(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    base, changes = an_ods_table(), a_change_table()
    put_ods(depot, f"{base.prefix}LOAD00000001.csv.gz", "2022-03-01T00:00:00.000")
    depot.settle()
    put_ods(depot, f"{changes.prefix}20220304-134556444.csv.gz", "")
    die_unrecorded(depot, monkeypatch)
    put_ods(depot, f"{base.prefix}LOAD00000001.csv.gz", "2022-03-03T00:00:00.000")
    depot.settle()

    assert names(depot, changes) == ["a"]


def test_records_in_quarantine_go_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depot = Depot.build(tmp_path, [a_table(on_bad_value=OnBadValue.QUARANTINE)])
    depot.put(KEY, OLD + b"2,b,many\n")
    die_unrecorded(depot, monkeypatch)
    depot.put(KEY, DAMAGED)
    depot.settle()

    assert names(depot) == []
    assert depot.files("springboard") == []


class Overwritten(Depot):
    """A depot where other bytes arrive in the moment after a load's rows were published."""

    def write_load(
        self, claim: Claim, load: Load, key: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Written | None:
        """Write a load, and let its file be overwritten."""
        written = super().write_load(claim, load, key, schema, batches)
        self.put(load.version.key, DAMAGED)
        return written


def test_rows_go_of_a_version_that_is_overwritten_as_soon_as_they_are_published(depot: Depot) -> None:
    depot.put(KEY, OLD)
    Overwritten(depot.root, depot.platform, depot.clock).ingest()
    depot.settle()

    assert [load.status for load in depot.loads()] == [LoadStatus.ERRORED, LoadStatus.ERRORED]
    assert names(depot) == []


class Unanswered(Depot):
    """A depot whose Springboard publishes, and whose answer is lost each time."""

    def write_load(
        self, claim: Claim, load: Load, key: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Written | None:
        """Write a load, and fail as if it were not known whether that was done."""
        super().write_load(claim, load, key, schema, batches)
        raise StoreUnavailableError(key, "no answer")


@pytest.mark.parametrize("max_attempts", [1, 3])
@pytest.mark.parametrize("before", [[], [OLD]], ids=["first version", "second version"])
def test_rows_go_of_a_load_that_is_given_up_without_knowing_that_they_were_published(
    tmp_path: Path, before: list[bytes], max_attempts: int
) -> None:
    depot = Depot.build(tmp_path, [a_table()], limits=builders.limits(max_attempts=max_attempts))
    for data in before:
        depot.put(KEY, data)
        depot.settle()
    depot.put(KEY, NEW)
    unanswered = Unanswered(depot.root, depot.platform, depot.clock)
    for _ in range(max_attempts):
        unanswered.ingest()
        depot.clock.advance(minutes=10)
    depot.settle()

    assert depot.loads()[-1].status is LoadStatus.ERRORED
    assert names(depot) == ["old" for _ in before]


def test_rows_of_the_version_before_stay_if_nothing_was_published(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.put(KEY, OLD)
    depot.settle()
    depot.put(KEY, NEW)
    with killed_before(monkeypatch, Claims, "holds"):
        depot.ingest()
    depot.clock.advance(seconds=depot.platform.limits.claim_timeout_seconds)
    depot.put(KEY, DAMAGED)
    depot.ingest()

    assert names(depot) == ["old"]
    assert not any(load.is_replay_due for load in depot.loads())


def put_ods(depot: Depot, key: str, started_at: str) -> None:
    """Let an ODS file of one record land with its sidecar."""
    depot.put(key, csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\n"))
    depot.put(key.removesuffix(".csv.gz") + ".dfm", a_dfm(started_at=started_at))
