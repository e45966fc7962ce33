"""A depot beside something precious, and what must be so after anything was delivered to it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion_tests.builders import a_table, an_ods_table
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot

DMAP = "cubic/dmap/agg_sample/"
TEXT = b"sample_id,sample_name,sample_count\n1,a,5\n"
GOOD = DMAP + "20220304.csv"
INJECTION = "'; DROP TABLE cubic_loads; --"


def tree(root: Path) -> dict[str, bytes]:
    """Return everything below a folder, links and empty folders too."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        for path in root.rglob("*")
    }


def a_walled_depot(root: Path) -> Depot:
    """Make a depot beside something that it must not touch."""
    (root / "etc").mkdir()
    (root / "etc" / "passwd.csv").write_bytes(b"precious")
    (root / "depot").mkdir()
    return Depot.build(root / "depot", [an_ods_table(), a_table(), KAFKA_TABLE])


def settled(depot: Depot, files: Mapping[str, bytes]) -> list[Load]:
    """Bring a good file and others in, settle, and return the loads of the others.

    Nothing outside of the table's own folders may have been made or changed.
    """
    wall = {key: data for key, data in tree(depot.root.parent).items() if not key.startswith("depot")}
    for key, data in {GOOD: TEXT, **files}.items():
        depot.put(key, data)
    depot.settle()
    assert {key: data for key, data in tree(depot.root.parent).items() if not key.startswith("depot")} == wall
    folders = tuple(key.rpartition("/")[0] + "/" for key in (GOOD, *files))
    for zone in ("archive", "error", "springboard"):
        assert [key for key in depot.files(zone) if not key.startswith(folders)] == []
    assert depot.statuses()["20220304.csv"] is LoadStatus.ARCHIVED
    return [load for load in depot.loads() if load.version.key != GOOD]


def reason(depot: Depot, load: Load) -> dict[str, Any]:
    """Return what a machine finds beside the original of a load in Error."""
    assert load.status is LoadStatus.ERRORED
    assert load.error_key is not None
    path = depot.root / "error" / (load.error_key + ".error.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert set(found) == {"code", "message", "row", "column", "bad_cells", "load_id"}
    return found
