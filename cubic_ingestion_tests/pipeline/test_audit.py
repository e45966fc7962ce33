"""The audit is clean where nothing is wrong, and names exactly what is: each test breaks one thing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.pipeline.audit import REMEDIES, FindingCode, audit
from cubic_ingestion.pipeline.claim import claim
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.databases import POSTGRES_LIMITS
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.audited import (
    BASE,
    DMAP,
    HEADER,
    LOAD,
    MIXED,
    PLAIN,
    QUARANTINE,
    RESTATED,
    ROWS,
    build_depot,
    found,
    put_ods,
    the_load,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with loads of all kinds."""
    return build_depot(tmp_path)


def change(depot: Depot, load: Load, **values: Any) -> None:
    """Change what is on record of a load."""
    engine = make_engine(f"sqlite:///{depot.root / 'metadata.sqlite'}", POSTGRES_LIMITS)
    with engine.begin() as connection:
        for name, value in values.items():
            connection.execute(text(f"UPDATE cubic_loads SET {name} = :v WHERE id = :i"), {"v": value, "i": load.id})
    engine.dispose()


def test_all_is_accounted_for_and_counted(depot: Depot) -> None:
    done = audit(depot.platform)

    assert done.findings == []
    assert done.notes == []
    statuses = [load.status for load in depot.loads()]
    assert (statuses.count(LoadStatus.ARCHIVED), statuses.count(LoadStatus.ERRORED)) == (8, 3)
    standing = [load for load in depot.loads() if load.status is LoadStatus.ARCHIVED and load.location]
    assert done.proved == {
        **{f"{zone}_objects": len(depot.files(zone)) for zone in ("incoming", "archive", "error", "springboard")},
        "warehouse_objects": 0,
        "loads": 11,
        "rows": sum(load.n_rows or 0 for load in standing),
        "quarantined": 1,
        "partitions": 7,
        "product_rows": 0,
    }
    assert done.n_rows == 9


def test_an_empty_depot_is_clean(tmp_path: Path) -> None:
    done = audit(Depot.build(tmp_path, [DMAP]).platform)
    assert (done.findings, done.n_loads) == ([], 0)


@pytest.mark.parametrize("step", ["register", "ingest"])
def test_work_that_is_not_done_is_no_discrepancy(depot: Depot, step: str) -> None:
    depot.put(f"{DMAP.prefix}20220308.csv", f"{HEADER}1,a,5\n".encode())
    put_ods(depot, f"{BASE.prefix}LOAD00000003.csv.gz")
    depot.put(f"{KAFKA_TABLE.prefix}worse.json", b"no JSON\n")
    depot.ingest()
    if step == "register":
        depot.put(f"{DMAP.prefix}20220309.csv", f"{HEADER}1,a,5\n".encode())
        register(depot.platform, StreamName.DMAP)
    assert found(audit(depot.platform)) == []


Break = Callable[[Depot], object]


def _unlink(zone: str, key: str) -> Break:
    return lambda depot: (depot.root / zone / key).unlink()


def _write(zone: str, key: str, data: bytes = b"x") -> Break:
    def write(depot: Depot) -> None:
        path = depot.root / zone / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return write


def _cut(zone: str, key: str) -> Break:
    return lambda depot: (depot.root / zone / key).write_bytes((depot.root / zone / key).read_bytes()[:-1])


def _change(key: str, **values: Any) -> Break:
    return lambda depot: change(depot, the_load(depot, key), **values)


def _rewrite_with_other_load_id(depot: Depot) -> None:
    path = depot.root / "springboard" / ROWS
    rows = pq.ParquetFile(path).read()
    ids = pa.array([99] * rows.num_rows, pa.int64())
    pq.write_table(rows.set_column(rows.schema.get_field_index("load_id"), "load_id", ids), path)
    change(depot, the_load(depot, PLAIN), n_bytes=path.stat().st_size)


def _register_behind(depot: Depot) -> None:
    """Have an archived load's very version in Incoming again."""
    version = depot.platform.stores.incoming
    path = depot.put(PLAIN, f"{HEADER}1,a,5\n2,b,6\n".encode())
    standing = version.head(PLAIN)
    assert path.exists()
    assert standing
    modified = standing.modified_at.strftime("%Y-%m-%d %H:%M:%S.%f")
    change(depot, the_load(depot, PLAIN), s3_etag=standing.etag, s3_modified=modified)


def _stale_claim(depot: Depot) -> None:
    depot.put(f"{DMAP.prefix}20220310.csv", f"{HEADER}1,a,5\n".encode())
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    assert claim(depot.platform, [DMAP.name], Work.INGEST, run_id="dead").loads
    depot.clock.advance(seconds=3 * depot.platform.limits.claim_timeout_seconds + 1)


def _claim_ahead(depot: Depot) -> None:
    depot.put(f"{DMAP.prefix}20220310.csv", f"{HEADER}1,a,5\n".encode())
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    depot.clock.advance(days=1)
    assert claim(depot.platform, [DMAP.name], Work.INGEST, run_id="ahead").loads
    depot.clock.advance(days=-1)


def _catalog_held_ahead(depot: Depot) -> None:
    depot.platform.ledger.deliveries[Consumer.CATALOG].refresh([DMAP.name])
    now = depot.clock.now()
    depot.platform.ledger.deliveries[Consumer.CATALOG].claim(
        [DMAP.name], claimant="ahead", now=now, expires_at=now + timedelta(days=1), n_tables=1, n_changes=1
    )


def _forget_rows(depot: Depot) -> None:
    change(depot, the_load(depot, PLAIN), location=None)


BAD = f"{KAFKA_TABLE.prefix}bad.json"


def _in_error(depot: Depot, ending: str = "") -> str:
    return f"{the_load(depot, BAD).error_key}{ending}"


BROKEN: list[tuple[Break, str, str, str]] = [
    (_write("incoming", f"{DMAP.prefix}20220401.csv"), "unregistered", "incoming", f"{DMAP.prefix}20220401.csv"),
    (_register_behind, "left_behind", "incoming", PLAIN),
    (_write("archive", f"{DMAP.prefix}20220401.csv"), "stray_object", "archive", f"{DMAP.prefix}20220401.csv"),
    (_write("archive", "cubic/nobody/x"), "stray_object", "archive", "cubic/nobody/x"),
    (_write("error", f"{DMAP.prefix}x.error.json"), "stray_object", "error", f"{DMAP.prefix}x.error.json"),
    (
        _write("springboard", f"{DMAP.prefix}identifier=x.csv/part-0.parquet"),
        *("stray_object", "springboard", f"{DMAP.prefix}identifier=x.csv/part-0.parquet"),
    ),
    (
        _write("springboard", f"raw/{DMAP.prefix}identifier=x.csv/part-0.parquet"),
        *("stray_object", "springboard", f"raw/{DMAP.prefix}identifier=x.csv/part-0.parquet"),
    ),
    (_unlink("archive", PLAIN), "original_missing", "archive", PLAIN),
    (_cut("archive", PLAIN), "original_damaged", "archive", PLAIN),
    (
        _unlink("archive", LOAD.replace(".csv.gz", ".dfm")),
        "sidecar_missing",
        "archive",
        LOAD.replace(".csv.gz", ".dfm"),
    ),
    (_unlink("springboard", ROWS), "rows_missing", "springboard", ROWS),
    (_cut("springboard", ROWS), "parquet_damaged", "springboard", ROWS),
    (_change(PLAIN, n_rows=3), "row_count_mismatch", "springboard", ROWS),
    (_rewrite_with_other_load_id, "wrong_load_id", "springboard", ROWS),
    (_unlink("springboard", QUARANTINE), "quarantine_missing", "springboard", QUARANTINE),
    (_change(MIXED, n_quarantined=2), "quarantine_mismatch", "springboard", QUARANTINE),
    (_claim_ahead, "stuck", "incoming", f"{DMAP.prefix}20220310.csv"),
    (_catalog_held_ahead, "stuck", "catalog", DMAP.name),
    (_stale_claim, "stuck", "incoming", f"{DMAP.prefix}20220310.csv"),
]


@pytest.mark.parametrize(
    ("breaks", "code", "zone", "key"), BROKEN, ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_what_is_broken_is_found_and_nothing_else(depot: Depot, breaks: Break, code: str, zone: str, key: str) -> None:
    breaks(depot)
    done = audit(depot.platform)

    assert found(done) == [(code, zone, key)]
    assert done.findings[0].remedy


def test_a_rejected_original_and_its_reason_are_missed(depot: Depot) -> None:
    for ending, code in (("", "original_missing"), (".error.json", "reason_missing")):
        key = _in_error(depot, ending)
        data = (depot.root / "error" / key).read_bytes()
        (depot.root / "error" / key).unlink()
        assert found(audit(depot.platform)) == [(code, "error", key)]
        _write("error", key, data)(depot)


def test_of_a_superseded_load_the_reason_is_all_there_is(depot: Depot) -> None:
    superseded = the_load(depot, f"{DMAP.prefix}20220307.csv", 0)
    assert superseded.error is not None
    assert superseded.error.code == "superseded"
    assert superseded.error_key not in depot.files("error")
    (depot.root / "error" / f"{superseded.error_key}.error.json").unlink()

    (finding,) = audit(depot.platform).findings
    assert (finding.code, finding.load_id) == (FindingCode.REASON_MISSING, superseded.id)


@pytest.mark.parametrize("version", [0, 1])
def test_both_versions_of_a_file_are_kept(depot: Depot, version: int) -> None:
    load = the_load(depot, RESTATED, version)
    (depot.root / "archive" / str(load.archive_key)).unlink()

    (finding,) = audit(depot.platform).findings
    assert (finding.code, finding.load_id, finding.key) == (FindingCode.ORIGINAL_MISSING, load.id, load.archive_key)


def test_rows_that_are_nowhere_are_missed_and_named_where_they_lie(depot: Depot) -> None:
    _forget_rows(depot)
    assert found(audit(depot.platform)) == [
        ("unrecorded_rows", "springboard", ROWS),
        ("rows_missing", "springboard", ROWS),
    ]


def test_two_loads_with_one_original_are_named(depot: Depot) -> None:
    plain, mixed = the_load(depot, PLAIN), the_load(depot, MIXED)
    change(depot, mixed, archive_key=PLAIN)
    first = audit(depot.platform).findings
    assert (FindingCode.CLAIMED_TWICE, PLAIN) in {(finding.code, finding.key) for finding in first}
    assert str(mixed.id) in first[0].problem + first[1].problem
    assert plain.id in {finding.load_id for finding in first}


def test_an_unfinished_load_without_its_file_is_missed(depot: Depot) -> None:
    path = depot.put(f"{DMAP.prefix}20220311.csv", f"{HEADER}1,a,5\n".encode())
    depot.ingest()
    path.unlink()
    assert found(audit(depot.platform)) == [("original_missing", "incoming", f"{DMAP.prefix}20220311.csv")]


def test_a_load_that_is_tried_again_is_read_from_error(depot: Depot) -> None:
    load = the_load(depot, BAD)
    assert list(depot.platform.ledger.outcomes.retry([load.id])) == [load.id]
    assert found(audit(depot.platform)) == []
    depot.settle()
    assert found(audit(depot.platform)) == []


def test_a_move_that_was_cut_short_is_no_discrepancy(depot: Depot) -> None:
    data = f"{HEADER}1,a,5\n".encode()
    depot.put(f"{DMAP.prefix}20220312.csv", data)
    depot.ingest()
    _write("archive", f"{DMAP.prefix}20220312.csv", data)(depot)
    assert found(audit(depot.platform)) == []
    (depot.root / "incoming" / DMAP.prefix / "20220312.csv").unlink()
    assert found(audit(depot.platform)) == []


def test_what_is_nobodys_is_noted(depot: Depot) -> None:
    depot.put("cubic/dmap/unknown/x.csv", b"x")
    old = depot.clock.now() - timedelta(days=2)
    depot.put(f"{BASE.prefix}LOAD00000009.dfm", b"{}", modified_at=old)
    done = audit(depot.platform)
    assert done.findings == []
    assert done.notes == [
        "cubic/dmap/unknown/: 1 object left alone, no table declares it: cubic/dmap/unknown/x.csv",
        f"{BASE.prefix}: 1 object left alone, sidecars whose files did not come: {BASE.prefix}LOAD00000009.dfm",
    ]


def test_a_sidecar_that_came_after_its_file_was_archived_with_another_is_named(depot: Depot) -> None:
    late = f"{BASE.prefix}LOAD00000001.dfm"
    depot.put(late, b"{}")
    assert found(audit(depot.platform)) == []
    depot.put(late, b"{}", modified_at=depot.clock.now() - timedelta(days=2))
    assert found(audit(depot.platform)) == [("left_behind", "incoming", late)]


def test_a_load_half_way_whose_table_is_gone_is_stuck_and_a_ready_one_of_an_inactive_table_waits(depot: Depot) -> None:
    depot.put(f"{DMAP.prefix}20220313.csv", f"{HEADER}1,a,5\n".encode())
    depot.ingest()
    inactive = {**depot.platform.tables, DMAP.name: replace(DMAP, is_active=False)}
    stopped = replace(depot.platform, tables=inactive)
    assert found(audit(stopped)) == [("stuck", "incoming", f"{DMAP.prefix}20220313.csv")]
    change(depot, the_load(depot, f"{DMAP.prefix}20220313.csv"), status="ready", location=None)
    _unlink("springboard", f"{DMAP.prefix}identifier=20220313.csv/part-0.parquet")(depot)
    assert found(audit(stopped)) == []


def test_every_finding_has_its_remedy() -> None:
    assert REMEDIES.keys() == set(FindingCode)
