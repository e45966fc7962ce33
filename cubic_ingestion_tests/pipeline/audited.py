"""A depot with loads of all kinds, for tests of the audit."""

from functools import cache
from pathlib import Path

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import OnBadValue
from cubic_ingestion.pipeline.audit import Audit
from cubic_ingestion_tests.builders import a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.worlds import World, lay_out, remember

BASE, CHANGES, DMAP = an_ods_table(), a_change_table(), a_table(on_bad_value=OnBadValue.QUARANTINE)
HEADER = "sample_id,sample_name,sample_count\n"
SNAPSHOT = "snapshot=20220301T000000Z/"
LOAD = f"{BASE.prefix}{SNAPSHOT}LOAD00000001.csv.gz"
PLAIN, RESTATED, MIXED = (f"{DMAP.prefix}2022030{day}.csv" for day in (4, 5, 6))
ROWS = f"{DMAP.prefix}identifier=20220304.csv/part-0.parquet"
QUARANTINE = f"quarantine/{DMAP.name}/identifier=20220306.csv/part-0.parquet"


def put_ods(depot: Depot, key: str, n_rows: int = 1) -> None:
    """Let an ODS file of one record land; its sidecar may say otherwise."""
    dfm = a_dfm(record_count=n_rows, started_at="2022-03-01T00:00:00.000")
    depot.put(key.removesuffix(".csv.gz") + ".dfm", dfm)
    depot.put(key, csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"))


def build_depot(root: Path) -> Depot:
    """Build a depot with loads of all streams: ingested, restated, in quarantine, rejected and superseded."""
    lay_out(_uncatalogued(), root)
    depot = _opened(root)
    depot.catalog()
    return depot


@cache
def _uncatalogued() -> World:
    """Make it up to the catalog, whose views name the folder."""
    return remember(_fill)


def _opened(root: Path) -> Depot:
    return Depot.build(root, [BASE, CHANGES, DMAP, KAFKA_TABLE])


def _fill(root: Path) -> Depot:
    depot = _opened(root)
    put_ods(depot, f"{BASE.prefix}LOAD00000001.csv.gz")
    put_ods(depot, f"{BASE.prefix}LOAD00000002.csv.gz", n_rows=7)
    put_ods(depot, f"{CHANGES.prefix}20220304-134556444.csv.gz")
    depot.put(PLAIN, f"{HEADER}1,a,5\n2,b,6\n".encode())
    depot.put(RESTATED, f"{HEADER}1,a,5\n".encode())
    depot.put(MIXED, f"{HEADER}1,a,5\n2,b,five\n".encode())
    depot.put(f"{KAFKA_TABLE.prefix}abc.json", b'{"event_id": "e"}\n')
    depot.put(f"{KAFKA_TABLE.prefix}bad.json", b"no JSON\n")
    depot.end_loads()
    depot.put(RESTATED, f"{HEADER}1,a,5\n3,c,7\n".encode())
    depot.ingest()
    depot.archive()
    depot.put(f"{DMAP.prefix}20220307.csv", f"{HEADER}1,a,5\n".encode())
    depot.ingest()
    depot.put(f"{DMAP.prefix}20220307.csv", f"{HEADER}1,a,55\n".encode())
    depot.end_loads()
    return depot


def the_load(depot: Depot, key: str, version: int = -1) -> Load:
    """Return the load of a version of a file, the newest if none is named."""
    return [load for load in depot.loads() if load.version.key == key][version]


def found(done: Audit) -> list[tuple[str, str, str]]:
    """Return what an audit found, in short."""
    return [(finding.code.value, finding.zone, finding.key) for finding in done.findings]
