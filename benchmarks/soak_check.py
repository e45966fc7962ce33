"""The soak's own proof, by reading Parquet and originals: it trusts the ledger only for what became of whom.

``cubic audit`` compares the platform with itself; this compares it with what was delivered.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.soak_deliveries import KAFKA, ROWS_OF_A_VERSION, Delivered

ENDED = {"archived", "errored"}
OF_A_MIXED_PAIR = {"record_count_mismatch", "sidecar_changed"}
"""An ODS file that was read with the sidecar of the version that was just taking its place may end so."""


@dataclass(frozen=True)
class LoadRow:
    """What the ledger says of one version."""

    id: int
    status: str
    code: str | None
    archive_key: str | None
    error_key: str | None
    snapshot: str | None
    is_held: bool


@dataclass
class Proof:
    """What was found."""

    n_loads: int = 0
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    stuck: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])
    """Ended, but not as it should have."""
    withdrawn: list[str] = field(default_factory=list[str])
    """Archived rows that do not stand, because a newer version took their place and then turned out bad or was itself
    overwritten, and what came last is bad."""
    n_archived: int = 0
    n_rows: int = 0
    n_errored: int = 0
    """Bad, and in Error with the code that it should have."""
    n_reason_alone: int = 0
    """Of these, overwritten between their rejection and their move."""
    n_superseded: int = 0
    n_never_seen: int = 0
    """Overwritten before a scan could see them."""


def prove(home: Path, zones: Path, delivered: Sequence[Delivered]) -> Proof:
    """Compare the files and rows that exist with the versions that were delivered.

    Args:
        home: The folder with the ledger.
        zones: The folder above those of Incoming, Archive, Error and Springboard.
        delivered: Every version.
    """
    proof = Proof()
    loads = _loads(home)
    proof.n_loads = len(loads)
    newest = {each.version.key: each for each in delivered}
    known: set[tuple[str, str]] = set()
    owners: dict[tuple[str, str | None], Delivered] = {}
    for each in delivered:
        known.add((each.version.key, each.etag))
        load = loads.get((each.version.key, each.etag))
        if _judge(zones, each, load, proof, is_newest=newest[each.version.key] is each) and load:
            owners[each.version.key, load.snapshot] = each
    for (key, etag), load in loads.items():
        if (key, etag) not in known:
            proof.wrong.append(f"load {load.id} {key}: nobody delivered version {etag}")
    _compare_rows(zones, list(owners.values()), newest, proof)
    _compare_snapshots(home, [each for each in owners.values() if newest[each.version.key] is each], loads, proof)
    return proof


def _judge(zones: Path, each: Delivered, load: LoadRow | None, proof: Proof, *, is_newest: bool) -> bool:
    """Sort one version into the proof; True if it is archived, so that its rows or those of a newer one stand."""
    version = each.version
    if load is None:
        proof.n_never_seen += not is_newest
        if is_newest:
            proof.lost.append(f"version {version.number} {version.key} was never registered")
        return False
    name = f"load {load.id} (version {version.number}) {version.key}"
    if load.status not in ENDED or load.is_held:
        proof.stuck.append(f"{name}: {load.status}{', held' if load.is_held else ''}")
    elif load.status == "archived":
        proof.n_archived += 1
        if is_newest and version.fault:
            proof.wrong.append(f"{name}: archived in spite of {version.fault}")
        _compare_original(zones / "archive", load.archive_key, each, name, proof)
        return True
    elif not is_newest and (load.code == "superseded" or (load.code in OF_A_MIXED_PAIR and version.kind != KAFKA)):
        proof.n_superseded += 1
    elif version.fault and load.code == version.fault:
        proof.n_errored += 1
        # One that was overwritten between its rejection and its move has its reason alone in Error.
        if is_newest or (zones / "error" / (load.error_key or "-")).is_file():
            _compare_original(zones / "error", load.error_key, each, name, proof)
        else:
            proof.n_reason_alone += 1
    else:
        proof.wrong.append(f"{name}: errored as {load.code}, expected {version.fault or 'archived'}")
    return False


def _compare_original(zone: Path, key: str | None, each: Delivered, name: str, proof: Proof) -> None:
    """Make sure that the original is kept byte for byte."""
    path = zone / (key or "-")
    if not path.is_file():
        proof.lost.append(f"{name}: its original is not at {path}")
    elif hashlib.sha256(path.read_bytes()).hexdigest() != each.sha256:
        proof.lost.append(f"{name}: other bytes than it had stand at {path}")


def _compare_rows(zones: Path, owners: Sequence[Delivered], newest: Mapping[str, Delivered], proof: Proof) -> None:
    """Compare the ids that stand with those that should; what is in quarantine likewise."""
    standing = Counter(_standing(zones / "springboard"))
    proof.n_rows = standing.total()
    should_stand: set[int] = set()
    for each in owners:
        version = each.version
        ids = version.ids
        should_stand |= ids
        missing = sum(number not in standing for number in ids)
        if missing and newest[version.key].version.fault and missing == len(ids):
            proof.withdrawn.append(f"version {version.number} {version.key}: {missing} archived rows do not stand")
        elif missing:
            proof.lost.append(f"version {version.number} {version.key}: {missing} of {len(ids)} rows do not stand")
    for number, n_copies in _by_version(standing, should_stand).items():
        proof.doubled.append(f"version {number}: {n_copies} rows stand twice, or beside those of a newer version")


def _compare_snapshots(
    home: Path, current: Sequence[Delivered], loads: Mapping[tuple[str, str], LoadRow], proof: Proof
) -> None:
    """Make sure that each file stands in the newest snapshot that started at or before the file's own time."""
    query = "select t.s3_prefix, s.snapshot from cubic_table_ods_snapshots s join cubic_tables t on t.id = s.table_id"
    starts: dict[str, list[str]] = {}
    for prefix, start in _query(home, query):
        starts.setdefault(str(prefix), []).append(str(start))
    for each in current:
        version, load = each.version, loads[each.version.key, each.etag]
        base = version.key.rpartition("/")[0].removesuffix("__ct") + "/"
        before = [start for start in starts.get(base, ()) if start <= f"{version.source_at:%Y-%m-%d %H:%M:%S.%f}"]
        if before and load.snapshot != max(before):
            proof.wrong.append(f"load {load.id} {version.key}: in snapshot {load.snapshot}, belongs to {max(before)}")


def _by_version(standing: Counter[int], should_stand: set[int]) -> Counter[int]:
    """Count the rows too many, by version."""
    extra: Counter[int] = Counter()
    for number, n_copies in standing.items():
        extra[abs(number) // ROWS_OF_A_VERSION] += n_copies - (number in should_stand)
    return +extra


def _standing(springboard: Path) -> Iterator[int]:
    """Yield the id of each row in Springboard, negative if it is in quarantine."""
    for path in _parquet(springboard / "cubic"):
        yield from (int(str(number)) for number in _column(path, "id"))
    for path in _parquet(springboard / "quarantine"):
        yield from (-int(json.loads(str(record))["id"]) for record in _column(path, "record"))


def _column(path: Path, name: str) -> Sequence[object]:
    return pq.read_table(path, columns=[name], partitioning=None).column(name).to_pylist()


def _parquet(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.parquet") if not path.name.startswith("."))


def _loads(home: Path) -> dict[tuple[str, str], LoadRow]:
    query = """
        select l.s3_key, l.s3_etag, l.id, l.status, l.error_code, l.archive_key, l.error_key, s.snapshot,
               l.claimed_by is not null or l.is_replay_due
        from cubic_loads l left join cubic_load_ods_snapshots s on s.load_id = l.id"""
    return {(str(row[0]), str(row[1])): LoadRow(*row[2:8], is_held=bool(row[8])) for row in _query(home, query)}


def _query(home: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(home / "metadata.sqlite", timeout=30)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
