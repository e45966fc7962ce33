"""What the soak delivers: versions of files of all kinds, drawn from a seed, each row with an id of its own.

A vendor's upload is atomic; of an ODS pair the sidecar comes first. A version knows what should become of it, and which
rows are its own: ``id // 1000`` is its number.
"""

import gzip
import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

ROWS_OF_A_VERSION = 1000
"""Ids kept for one version; no file has so many rows."""

COLUMNS = (("id", "INT8", "int64"), ("name", "STRING", "string"), ("amount", "NUMERIC", "decimal128(10, 2)"))
CHANGE_COLUMNS = (
    ("header__change_seq", "STRING"),
    ("header__change_oper", "STRING"),
    ("header__timestamp", "DATETIME"),
)

ODS, CHANGES, DMAP, KAFKA = "ods", "ods__ct", "dmap", "kafka"
N_TABLES = {ODS: 6, CHANGES: 6, DMAP: 4, KAFKA: 3}
WEIGHTS = {ODS: 25, CHANGES: 35, DMAP: 20, KAFKA: 20}
FAULTS = {
    ODS: ("bad_value", "gzip_damaged", "record_count_mismatch"),
    CHANGES: ("bad_value", "gzip_damaged", "record_count_mismatch"),
    DMAP: ("bad_value", "gzip_damaged"),
    KAFKA: ("bad_value", "json_invalid"),
}
FAULTY, OVERWRITING, RESTATING, QUARANTINED, LATE = 0.06, 0.08, 0.15, 0.2, 0.05
"""Shares: versions that are bad; that overwrite a recent key; DMAP versions that restate an old day; versions of a
quarantine table with bad records; change files whose sidecar comes late."""

_FIRST_DAY = date(2021, 1, 1)
_FIRST_START = datetime(2022, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Version:
    """One version of one file, as it is to be delivered."""

    number: int
    kind: str
    table: int
    """Which of the tables of its kind."""
    key: str
    n_rows: int
    source_at: datetime
    """ODS: the source's own time, by sidecar or name."""
    fault: str = ""
    """The code with which it should end in Error; empty if it is good."""
    n_bad: int = 0
    """Its last records have a bad value, and belong in quarantine."""
    is_late: bool = False
    """Its sidecar comes seconds later."""

    @property
    def ids(self) -> set[int]:
        """Ids of its rows: those that belong in its table, and, negative, those that belong in quarantine."""
        first = self.number * ROWS_OF_A_VERSION
        n_good = self.n_rows - self.n_bad
        return {*range(first, first + n_good), *(-number for number in range(first + n_good, first + self.n_rows))}


@dataclass(frozen=True)
class Delivered:
    """A version that was put into Incoming, as the file system has it."""

    version: Version
    etag: str
    sha256: str


@dataclass
class _Round:
    """How far the full load of one ODS table has come."""

    started_at: datetime = _FIRST_START
    counter: int = 0
    n_files: int = 0
    changes: int = 0


@dataclass
class _Drawing:
    """State from which the next version is drawn."""

    rng: random.Random
    rounds: dict[int, _Round] = field(default_factory=dict[int, _Round])
    days: dict[int, int] = field(default_factory=dict[int, int])
    recent: list[Version] = field(default_factory=list[Version])


def is_quarantine_table(kind: str, table: int) -> bool:
    """The first table of ODS and of DMAP keeps bad records apart."""
    return table == 0 and kind in {ODS, CHANGES, DMAP}


def declarations() -> str:
    """Return the tables as TOML."""
    return "\n".join(_declaration(kind, number) for kind in (ODS, DMAP, KAFKA) for number in range(N_TABLES[kind]))


def is_sidecar(key: str) -> bool:
    """Say whether a key is that of a sidecar."""
    return key.endswith(".dfm")


def drawn(seed: int, n_versions: int) -> Iterator[Version]:
    """Yield what is to be delivered, in order; the same for the same seed."""
    state = _Drawing(random.Random(seed))
    for number in range(1, n_versions + 1):
        version = _with_faults(state.rng, _next(state, number))
        if not version.is_late:
            state.recent = [*state.recent[-400:], version]
        yield version


def _next(state: _Drawing, number: int) -> Version:
    rng = state.rng
    if state.recent and rng.random() < OVERWRITING:
        old = rng.choice(state.recent)
        return replace(old, number=number, n_rows=rng.randint(5, 30), fault="", n_bad=0)
    kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    table = rng.randrange(N_TABLES[kind])
    rows = rng.randint(5, 30)
    if kind == ODS or (kind == CHANGES and table not in state.rounds):
        key, source_at = _next_load(state, table)
        return Version(number, ODS, table, key, rows, source_at)
    if kind == CHANGES:
        key, source_at = _next_changes(state.rounds[table], table)
        return Version(number, CHANGES, table, key, rows, source_at, is_late=rng.random() < LATE)
    if kind == DMAP:
        return Version(number, DMAP, table, _next_day(state, table), rows, _FIRST_START)
    key = f"cubic/kafka/soak_t{table}/{rng.getrandbits(96):024x}.json"
    return Version(number, KAFKA, table, key, rows, _FIRST_START)


def _next_load(state: _Drawing, table: int) -> tuple[str, datetime]:
    """Go on with a table's full load, or start it again: the same keys, new bytes, another snapshot."""
    full_load = state.rounds.setdefault(table, _Round(n_files=state.rng.randint(20, 60)))
    if full_load.counter == full_load.n_files:
        started_at = full_load.started_at + timedelta(days=1)
        full_load = state.rounds[table] = _Round(started_at, n_files=state.rng.randint(20, 60))
    full_load.counter += 1
    key = f"cubic/ods_qlik/SOAK.T{table}/LOAD{full_load.counter:08d}.csv.gz"
    return key, full_load.started_at + timedelta(seconds=full_load.counter - 1)


def _next_changes(full_load: _Round, table: int) -> tuple[str, datetime]:
    full_load.changes += 1
    at = full_load.started_at + timedelta(hours=1, seconds=full_load.changes)
    return f"cubic/ods_qlik/SOAK.T{table}__ct/{at:%Y%m%d-%H%M%S}000.csv.gz", at


def _next_day(state: _Drawing, table: int) -> str:
    n_days = state.days.get(table, 0)
    if n_days and state.rng.random() < RESTATING:
        day = state.rng.randrange(n_days)
    else:
        day = n_days
        state.days[table] = n_days + 1
    return f"cubic/dmap/soak_t{table}/{_FIRST_DAY + timedelta(days=day):%Y%m%d}.csv.gz"


def _with_faults(rng: random.Random, version: Version) -> Version:
    is_sifted = is_quarantine_table(version.kind, version.table)
    if rng.random() < FAULTY:
        faults = [fault for fault in FAULTS[version.kind] if not (is_sifted and fault == "bad_value")]
        return replace(version, fault=rng.choice(faults))
    if is_sifted and rng.random() < QUARANTINED:
        return replace(version, n_bad=rng.randint(1, 3))
    return version


class Incoming(Protocol):
    """Where versions are put, whole and at once, as the vendor does."""

    def put(self, key: str, body: bytes) -> str:
        """Put a file there; returns the ETag that the platform will see."""
        ...


@dataclass(frozen=True)
class FolderIncoming:
    """Incoming as a folder."""

    root: Path

    def put(self, key: str, body: bytes) -> str:
        """Write beside the place and rename; a folder that the platform removes as empty meanwhile is made again."""
        path = self.root / key
        hidden = path.with_name(f".{path.name}")
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                hidden.write_bytes(body)
                status = hidden.stat()  # renaming changes neither inode nor time
                hidden.replace(path)
                return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


@dataclass(frozen=True)
class Late:
    """A sidecar that is still to come."""

    key: str
    body: bytes


def deliver(incoming: Incoming, version: Version) -> tuple[Delivered, Late | None]:
    """Put a version into Incoming, its sidecar first; returns the sidecar if that is to come late."""
    body = _body(version)
    late = None
    if version.kind in {ODS, CHANGES}:
        sidecar = Late(f"{version.key.removesuffix('.csv.gz')}.dfm", _sidecar(version))
        if version.is_late:
            late = sidecar
        else:
            incoming.put(sidecar.key, sidecar.body)
    etag = incoming.put(version.key, body)
    return Delivered(version, etag, hashlib.sha256(body).hexdigest()), late


def _body(version: Version) -> bytes:
    """Make the file's bytes, with its fault."""
    if version.kind == KAFKA:
        body = _json(version)
        return body[:-5] if version.fault == "json_invalid" else body  # within a record: a cut between two is none
    body = gzip.compress(_csv(version), 1)
    return body[: len(body) * 2 // 3] if version.fault == "gzip_damaged" else body


def _rows(version: Version) -> Iterator[tuple[int, str, str]]:
    first = version.number * ROWS_OF_A_VERSION
    n_good = version.n_rows - (1 if version.fault == "bad_value" else version.n_bad)
    for row in range(version.n_rows):
        yield first + row, f"name {row}", f"{row}.25" if row < n_good else "much"


def _csv(version: Version) -> bytes:
    is_change = version.kind == CHANGES
    header = [*(name for name, _ in CHANGE_COLUMNS if is_change), *(name for name, _, _ in COLUMNS)]
    lead = f"{version.number:035d},I,{version.source_at:%Y-%m-%d %H:%M:%S}.000000," if is_change else ""
    rows = (f"{lead}{number},{name},{amount}" for number, name, amount in _rows(version))
    return "\n".join([",".join(header), *rows]).encode()


def _json(version: Version) -> bytes:
    records = (
        {"id": number, "name": name, "amount": amount if amount == "much" else float(amount)}
        for number, name, amount in _rows(version)
    )
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _sidecar(version: Version) -> bytes:
    types = [*(CHANGE_COLUMNS if version.kind == CHANGES else ()), *((name, kind) for name, kind, _ in COLUMNS)]
    columns = [
        {"ordinal": n, "name": name.upper(), "type": kind, "precision": 10, "scale": 2 * (kind == "NUMERIC")}
        for n, (name, kind) in enumerate(types, 1)
    ]
    started_at = "" if version.kind == CHANGES else f"{version.source_at:%Y-%m-%dT%H:%M:%S}.000"
    n_stated = version.n_rows + (version.fault == "record_count_mismatch")
    info = {"startWriteTimestamp": started_at, "recordCount": n_stated, "errorCount": 0}
    return json.dumps({"fileInfo": info, "dataInfo": {"columns": columns}}).encode()


def _declaration(kind: str, number: int) -> str:
    stream = "ods_qlik" if kind == ODS else kind
    folder = f"SOAK.T{number}" if kind == ODS else f"soak_t{number}"
    lines = [
        "[[table]]",
        f'stream = "{kind}"',
        f'name = "cubic__{stream}__soak_t{number}"',
        f'prefix = "cubic/{stream}/{folder}/"',
    ]
    if is_quarantine_table(kind, number):
        lines.append('on_bad_value = "quarantine"')
    if kind != ODS:
        lines += ["[table.columns]", *(f'{name} = "{declared}"' for name, _, declared in COLUMNS)]
    return "\n".join(lines) + "\n"
