"""What each watcher says at a stop of the storm, compared with the files and the ledger. Nothing runs then."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from benchmarks.soak_deliveries import is_sidecar
from benchmarks.soak_workers import Home
from cubic_ingestion.defs.partitions import partitions_of
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.table import Table
from cubic_ingestion.outside_text import visible
from cubic_ingestion.tables import load_tables

_WITH_ROWS = """
    select t.name, l.partition_key from cubic_loads l join cubic_tables t on t.id = l.table_id
    where l.location is not null and l.partition_key is not null group by 1, 2"""
_QUEUED = """
    select distinct t.name from cubic_deliveries d join cubic_tables t on t.id = d.table_id
    where d.consumer = 'dagster'"""
_UNDER_WAY = """
    select count(*) from cubic_loads
    where (status not in ('archived', 'errored')) and waits_for is null"""


@dataclass
class Verdict:
    """What a stop came to."""

    n_findings: int = 0
    n_problems: int = 0
    n_partitions: int = 0
    wrong: list[str] = field(default_factory=list[str])
    """What a watcher did not say, or said without reason."""


def watch(home: Home, *, is_over: bool) -> Verdict:
    """Ask every watcher, and compare.

    Args:
        home: Where.
        is_over: Whether all work is done, so that nothing may be left to say.
    """
    verdict = Verdict()
    _watch_audit(home, verdict, is_over=is_over)
    _watch_status(home, verdict, is_over=is_over)
    _watch_dagster(home, verdict, is_over=is_over)
    return verdict


def _watch_audit(home: Home, verdict: Verdict, *, is_over: bool) -> None:
    """Every object in Incoming and every Parquet file is on record, or named; what is named is there."""
    report = _json(home, verdict, "audit", "--json")
    findings, notes = report.get("findings", []), "\n".join(report.get("notes", []))
    verdict.n_findings = len(findings)
    named = {str(finding["key"]) for finding in findings}
    for key in _unknown_objects(home):
        if key not in named and key not in notes and visible(key) not in notes:
            verdict.wrong.append(f"audit does not name {key!r}, which lies in Incoming and is on nobody's record")
    on_record = {str(key) for (key,) in query(home, "select location from cubic_loads where location is not null")}
    for path in (home.zones / "springboard" / "cubic").rglob("*.parquet"):
        key = str(path.relative_to(home.zones / "springboard"))
        if key not in on_record and key not in named and not path.name.startswith("."):
            verdict.wrong.append(f"audit does not name {key!r}, rows that nobody's record knows")
    if is_over:
        verdict.wrong += [f"audit: {finding}" for finding in findings]


def _watch_status(home: Home, verdict: Verdict, *, is_over: bool) -> None:
    """Nobody scans and nobody works at a stop; the probe says so."""
    report = _json(home, verdict, "status", "--check", "--json", "--max-wait-seconds", "1", "--max-scan-seconds", "1")
    codes = {str(problem["code"]) for problem in report.get("problems", [])}
    verdict.n_problems = len(report.get("problems", []))
    if "not_scanned" not in codes:
        verdict.wrong.append("status --check does not say that nobody scans")
    n_under_way = int(query(home, _UNDER_WAY)[0][0])
    is_said = bool(codes & {"waiting_too_long", "claim_expired", "claim_ahead"})
    if n_under_way and not is_said:
        verdict.wrong.append(f"status --check says nothing of {n_under_way} loads that are under way, and nobody works")
    if is_over and is_said:
        verdict.wrong.append(f"status --check says that loads wait, and none does: {sorted(codes)}")


def _watch_dagster(home: Home, verdict: Verdict, *, is_over: bool) -> None:
    """A partition is shown as materialised exactly if it has rows; what differs is still to be reported."""
    with_rows = {(str(table), str(key)) for table, key in query(home, _WITH_ROWS)}
    queued = {str(table) for (table,) in query(home, _QUEUED)}
    shown = set(_shown(home))
    verdict.n_partitions = len(shown)
    for table, key in sorted(with_rows ^ shown):
        if is_over or table not in queued:
            what = "has rows and is not shown" if (table, key) in with_rows else "is shown and has no rows"
            verdict.wrong.append(f"Dagster: partition {key} of {table} {what}")


def _shown(home: Home) -> Iterator[tuple[str, str]]:
    """Yield the partitions that Dagster's pages show as materialised."""
    with dg.DagsterInstance.from_config(str(home.folder / "dagster")) as instance:
        for table in _tables(home).values():
            of_table = "select distinct partition_key from cubic_loads l join cubic_tables t on t.id = l.table_id"
            of_table += f" where t.name = '{table.name}' and partition_key is not null"
            keys = [str(key) for (key,) in query(home, of_table)]
            found = instance.get_status_by_partition(asset_key(table), keys, partitions_of(table)) or {}
            yield from ((table.name, key) for key, status in found.items() if status and status.value == "MATERIALIZED")


def _tables(home: Home) -> Mapping[str, Table]:
    return {name: table for name, table in load_tables(home.folder / "tables").items() if "soak_t" in name}


def _unknown_objects(home: Home) -> Iterator[str]:
    """Yield the keys in Incoming that no load has, sidecars of loads left out."""
    known = {str(key) for (key,) in query(home, "select s3_key from cubic_loads")}
    for path in sorted(home.incoming.rglob("*")):
        key = str(path.relative_to(home.incoming))
        if path.is_file() and key not in known and not is_sidecar(key):
            yield key


def query(home: Home, sql: str) -> list[tuple[Any, ...]]:
    """Ask the ledger."""
    connection = sqlite3.connect(home.database, timeout=30)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def _json(home: Home, verdict: Verdict, *arguments: str) -> dict[str, Any]:
    done = home.cubic(*arguments)
    try:
        return json.loads(done.stdout)
    except ValueError:
        said = (done.stderr or done.stdout)[-500:]
        verdict.wrong.append(f"cubic {' '.join(arguments)} exited with {done.returncode} and printed no JSON: {said}")
        return {}
