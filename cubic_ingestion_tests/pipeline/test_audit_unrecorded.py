"""The audit names what was published or copied, and that no record knows, unless somebody works on it right now."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import OnBadValue
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.stage import PUBLISHING, goes_wrong
from cubic_ingestion_tests.pipeline.audited import found
from cubic_ingestion_tests.pipeline.test_audit import change
from cubic_ingestion_tests.pipeline.test_withdraw import HEADER, KEY, NEW, OLD

TABLE = a_table()
ROWS = f"{TABLE.prefix}identifier=20220304.csv/part-0.parquet"
UNRECORDED = [("unrecorded_rows", "springboard", ROWS)]


def die_before_the_record(depot: Depot) -> None:
    """Publish the rows of a load, and die; the claim of the dead goes on."""
    goes_wrong(depot, FaultPlan(PUBLISHING, Fault.KILLED_BEFORE), Depot.ingest)


def let_claims_end(depot: Depot) -> None:
    """Wait until what the dead held is free."""
    depot.clock.advance(seconds=depot.platform.limits.claim_timeout_seconds)


@pytest.mark.parametrize("before", [[], [OLD]], ids=["first version", "second version"])
def test_rows_that_were_published_and_not_recorded_are_named_once_nobody_works_on_them(
    depot: Depot, before: list[bytes]
) -> None:
    for data in before:
        depot.put(KEY, data)
        depot.settle()
    depot.put(KEY, NEW)
    die_before_the_record(depot)
    assert found(audit(depot.platform)) == []
    let_claims_end(depot)

    done = audit(depot.platform)

    load = depot.loads()[-1]
    assert found(done) == UNRECORDED
    assert done.findings[0].load_id == load.id
    assert done.findings[0].problem == (
        f"Load {load.id} wrote it. The load is ingesting, and on record its rows are nowhere."
    )
    depot.settle()
    assert found(audit(depot.platform)) == []


def test_rows_of_a_load_that_was_given_back_are_named(depot: Depot) -> None:
    depot.put(KEY, NEW)
    goes_wrong(depot, FaultPlan("springboard.commit", Fault.TIMEOUT), Depot.ingest)

    assert [load.status for load in depot.loads()] == [LoadStatus.READY]
    assert found(audit(depot.platform)) == UNRECORDED


def test_a_claim_by_a_clock_that_is_ahead_excuses_nothing(depot: Depot) -> None:
    depot.put(KEY, NEW)
    depot.clock.advance(days=1)
    die_before_the_record(depot)
    depot.clock.advance(days=-1)

    assert UNRECORDED[0] in found(audit(depot.platform))


def test_records_in_quarantine_are_named_with_the_rows(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [a_table(on_bad_value=OnBadValue.QUARANTINE)])
    depot.put(KEY, OLD + b"2,b,many\n")
    die_before_the_record(depot)
    let_claims_end(depot)

    kept = f"quarantine/{TABLE.name}/identifier=20220304.csv/part-0.parquet"
    assert found(audit(depot.platform)) == [*UNRECORDED, ("unrecorded_rows", "springboard", kept)]


def reject(depot: Depot) -> None:
    """Have the load in Error, while its rows stay."""
    change(depot, depot.loads()[-1], status="errored", location=None)


def move_record(depot: Depot) -> None:
    """Have the rows on record at another place."""
    change(depot, depot.loads()[-1], location=f"{TABLE.prefix}identifier=other.csv/part-0.parquet")


def forget_load(depot: Depot) -> None:
    """Have no load at all."""
    change(depot, depot.loads()[-1], s3_key=f"{TABLE.prefix}other.csv", location=None)


@pytest.mark.parametrize(
    ("forget", "code"),
    [(reject, "unrecorded_rows"), (move_record, "unrecorded_rows"), (forget_load, "stray_object")],
)
def test_rows_of_which_the_record_says_otherwise_are_named(
    depot: Depot, forget: Callable[[Depot], None], code: str
) -> None:
    depot.put(KEY, NEW)
    depot.settle()
    forget(depot)

    done = audit(depot.platform)
    assert (code, "springboard", ROWS) in found(done)
    assert all(finding.remedy for finding in done.findings)


def test_a_copy_that_no_move_goes_on_with_is_named(depot: Depot) -> None:
    depot.put(KEY, NEW)
    depot.ingest()
    for zone, folder in (("archive", ""), ("error", "timestamp=20220304T000000Z/")):
        path = depot.root / zone / TABLE.prefix / folder / "20220304.csv"
        path.parent.mkdir(parents=True)
        path.write_bytes(NEW)
    in_error = f"{TABLE.prefix}timestamp=20220304T000000Z/20220304.csv"
    change(depot, depot.loads()[-1], s3_modified="2022-03-04 00:00:00.000000")
    in_archive = [one for one in found(audit(depot.platform)) if one[1] != "incoming"]
    assert in_archive == [("stray_object", "error", in_error)]

    load = depot.loads()[-1]
    change(depot, load, status="ready", location=None)
    depot.platform.ledger.outcomes.reject(load.id, LoadError("superseded", "It was overwritten."))
    assert ("stray_object", "archive", KEY) in found(audit(depot.platform))
    assert ("stray_object", "error", in_error) not in found(audit(depot.platform))


def test_parquet_below_no_declared_table_is_noted(depot: Depot) -> None:
    for key in (
        "derived/monthly/month=2022-03/part-0.parquet",
        "derived/monthly/month=2022-04/part-0.parquet",
        "reports/rides/partition_key=2022-03/part-0.parquet",
        "reports/rides/partition_key=2022-04/part-0.parquet",
        "top",
    ):
        path = depot.root / "springboard" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")

    done = audit(depot.platform)
    assert done.findings == []
    assert done.notes == [
        "springboard: : 1 object left alone, of no declared table",
        "springboard: derived/monthly/: 2 objects left alone, of no declared table",
        "springboard: reports/rides/: 2 objects left alone, of a derived table, which an asset outside Cubic writes",
    ]


def test_rows_of_a_table_that_is_not_declared_any_longer_are_compared_as_before(depot: Depot) -> None:
    depot.put(KEY, NEW)
    depot.settle()
    undeclared = {name: table for name, table in depot.platform.tables.items() if name != TABLE.name}
    platform = replace(depot.platform, tables=undeclared)

    assert found(audit(platform)) == []
    assert audit(platform).n_rows == 2
    (depot.root / "springboard" / ROWS).write_bytes(HEADER)
    assert found(audit(platform)) == [("parquet_damaged", "springboard", ROWS)]


def test_a_part_that_no_open_batch_knows_is_named_when_the_batcher_should_have_removed_it(depot: Depot) -> None:
    part = depot.put("cubic/kafka_open/fares/shard-1/taps/1_2.jsonl", b"{}\n", modified_at=depot.clock.now())
    assert found(audit(depot.platform)) == []
    depot.clock.advance(days=3)

    (finding,) = audit(depot.platform).findings
    assert (finding.code, finding.zone) == ("stray_object", "incoming")
    assert part.as_posix().endswith(finding.key)
