"""Dagster started plainly in the root, with no setting made."""

import shutil
import sys
from pathlib import Path

import pytest

from cubic_ingestion.cli.sample import sample_files
from cubic_ingestion_tests.integration.conftest import LAND_SECONDS, ROOT, files
from cubic_ingestion_tests.integration.servers import Server, serving

DMAP = "cubic/dmap/agg_sample/"
PARTS = ("dagster.yaml", "workspace.yaml", "pyproject.toml", "cubic_ingestion")
MATERIALIZED = """
{assetNodeOrError(assetKey: {path: ["springboard", "dmap", "cubic__dmap__agg_sample"]}) {
  ... on AssetNode {partitionStats {numMaterialized}}
}}
"""


def _copy_of_the_root(folder: Path) -> Path:
    folder.mkdir()
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


def _land(server: Server, root: Path, name: str) -> None:
    """Let a file land, and wait until it is archived and the runs that did it have ended."""
    incoming = root / ".cubic/incoming"
    (incoming / DMAP).mkdir(parents=True, exist_ok=True)
    (incoming / DMAP / name).write_bytes(sample_files()[DMAP + name])
    server.wait_until(lambda: not files(incoming), f"{name} is archived", LAND_SECONDS)
    server.wait_until(lambda: {run["status"] for run in server.runs()} == {"SUCCESS"}, "its runs have ended", 60)


def _n_materialized(server: Server) -> int:
    return server.ask(MATERIALIZED)["assetNodeOrError"]["partitionStats"]["numMaterialized"]


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_dg_dev_goes_on_where_dagster_dev_stopped_and_both_ingest(tmp_path: Path) -> None:
    root = _copy_of_the_root(tmp_path / "root")
    executables = Path(sys.executable).parent

    with serving([str(executables / "dagster"), "dev"], root, tmp_path / "dagster-dev.log") as server:
        _land(server, root, "20220304.csv")
        before = {run["runId"] for run in server.runs()}
    with serving([str(executables / "dg"), "dev"], root, tmp_path / "dg-dev.log") as server:
        kept = {run["runId"] for run in server.runs()}
        _land(server, root, "20220306.csv")
        n_materialized = _n_materialized(server)

    assert before
    assert before <= kept
    assert n_materialized == 2
    assert files(root / ".cubic/archive") == [f"{DMAP}20220304.csv", f"{DMAP}20220306.csv"]
