"""Streams delivered as real files into a depot, and what ``__current`` is then, in the catalog and in its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cubic_ingestion.domain.table import Updates
from cubic_ingestion.products.key_order import lower_bound, sort_positions
from cubic_ingestion.products.log_files import open_file
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_change_table, a_dfm, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.products.deliveries import CT, CURRENT
from cubic_ingestion_tests.products.interpreter import ChangeFile, Generation, Key, LoadFile, Row, interpret
from cubic_ingestion_tests.products.shelf import STAMP_TYPES, File
from cubic_ingestion_tests.products.streams import DAY, Stream

BASE = "cubic/ods_qlik/EDW.SAMPLE/"
_QLIK: Mapping[pa.DataType, Mapping[str, Any]] = {
    pa.int64(): {"type": "INT8"},
    pa.string(): {"type": "STRING"},
    pa.decimal128(38, 0): {"type": "NUMERIC", "precision": 38},
    pa.timestamp("us"): {"type": "DATETIME"},
}
_HEADER_TYPES: Mapping[str, pa.DataType] = {
    "header__change_seq": pa.string(),
    "header__change_oper": pa.string(),
    "header__timestamp": pa.timestamp("us"),
    "header__change_mask": pa.string(),
}


@dataclass
class Post:
    """Delivers the files of a generation. The first LOAD file, which opens the snapshot, has no rows."""

    depot: Depot
    generation: Generation
    types: Mapping[str, pa.DataType]
    delivered: dict[str, File] = field(default_factory=dict[str, File])
    """Files by the key that they came under."""

    @staticmethod
    def to(root: Path, stream: Stream) -> "Post":
        """Open a depot for a stream."""
        updates = Updates.FULL_IMAGE if stream.generation.is_full_image else Updates.SUPPLIED_VALUES
        tables = [an_ods_table(updates=updates), a_change_table()]
        depot = Depot.build(root, tables, limits=builders.limits(parallel_loads=1))
        return Post(depot, stream.generation, stream.types)

    def open(self) -> None:
        """Deliver the LOAD file that opens the snapshot."""
        at = self.generation.snapshot_at
        self._put(f"{BASE}LOAD00000001", self.generation.columns, [], "" if at is None else _stated(at))

    def put(self, files: Sequence[File]) -> None:
        """Let files land. One that is there already is stated again, without rows."""
        for file in files:
            stem = _stem(file)
            rows = () if stem in self.delivered else file.rows
            self.delivered[stem] = replace(file, rows=rows)
            self._put(stem, self._columns(file), rows, _stated(file.time))

    def _columns(self, file: File) -> Sequence[str]:
        """Return the columns of a file. A LOAD file has two at least, since a line without any text is no row."""
        if isinstance(file, ChangeFile):
            return file.columns
        names = list(dict.fromkeys([*self.generation.key, *(name for row in file.rows for name in row)]))
        return names if len(names) > 1 else [*names, "amount"]

    def _put(self, stem: str, columns: Sequence[str], rows: Sequence[Row], started_at: str) -> None:
        key = self.generation.key
        declared = [
            {
                "name": name.upper(),
                "primaryKeyPos": list(key).index(name) + 1 if name in key else 0,
                **_QLIK[{**self.types, **_HEADER_TYPES}[name]],
            }
            for name in columns
        ]
        # A LOAD file whose .dfm has no time has that of its last change.
        at = None if started_at else _MIDNIGHT
        self.depot.put(f"{stem}.dfm", a_dfm(declared, record_count=len(rows), started_at=started_at), modified_at=at)
        self.depot.put(f"{stem}.csv.gz", csv_gz(_text(columns, rows)), modified_at=at)

    def present(self) -> Generation:
        """Return the generation as it has been delivered so far, with the ids that its loads have in the ledger."""
        ids = {load.version.key.removesuffix(".csv.gz"): load.id for load in self.depot.loads()}
        files = [replace(file, load_id=ids[stem]) for stem, file in self.delivered.items()]
        return replace(
            self.generation,
            loads=[each for each in files if isinstance(each, LoadFile)],
            changes=[each for each in files if isinstance(each, ChangeFile)],
        )

    def expected(self) -> dict[Key, Row]:
        """Return the rows of the law, by key."""
        return interpret(self.present()).rows

    def shown(self) -> dict[Key, Row]:
        """Return the rows that the catalog shows, by key; their types are those of Springboard."""
        with duckdb.connect(self.depot.root / "catalog.duckdb", read_only=True) as connection:
            table = connection.sql(f"select * from {CURRENT}").to_arrow_table()
        types = {**self.types, **STAMP_TYPES, "snapshot": pa.string()}
        assert {each.name: each.type for each in table.schema} == types
        return self._by_key(table.to_pylist())

    def stored(self) -> dict[Key, Row]:
        """Return the rows of the files, by key: each file is sorted, and no two overlap."""
        warehouse = self.depot.platform.warehouse
        table = warehouse.open(CURRENT)
        assert table is not None
        files = [_rows(self.depot, file) for file in table.files()]
        if not files:
            return {}
        key = self.generation.key
        firsts = pa.concat_tables([rows.slice(0, 1).select(key) for rows in files])
        rows = pa.concat_tables([files[at] for at in sort_positions(firsts, key)])
        assert lower_bound(rows, rows, key)[0].tolist() == list(range(rows.num_rows))
        return self._by_key(rows.to_pylist())

    def _by_key(self, rows: Sequence[Row]) -> dict[Key, Row]:
        assert len({row["snapshot"] for row in rows}) <= 1
        found = {
            tuple(row[name] for name in self.generation.key): {k: v for k, v in row.items() if k != "snapshot"}
            for row in rows
        }
        assert len(found) == len(rows)
        return found


_MIDNIGHT = DAY.replace(tzinfo=UTC)


def _rows(depot: Depot, file: Any) -> pa.Table:
    with open_file(depot.platform.warehouse, file) as parquet:
        return parquet.read()


def posted(stream: Stream) -> Stream:
    """Give the files of a stream times and names that Qlik's files can have, in the same order."""
    arriving = {id(file): file for files in stream.steps for file in files}
    new: dict[int, File] = {}
    changes = [file for file in arriving.values() if isinstance(file, ChangeFile)]
    for _, of_minute in groupby(sorted(changes, key=lambda each: (each.time, each.name)), key=lambda each: each.time):
        for number, file in enumerate(of_minute):
            # Two files of one time: one has a tenth digit.
            time = file.time + timedelta(milliseconds=number // 2)
            digits = f"{time:%Y%m%d-%H%M%S}{time.microsecond // 1000:03}{'0' * (number % 2)}"
            new[id(file)] = replace(file, time=time, name=f"{digits}.csv.gz")
    generation = stream.generation
    return replace(
        stream,
        generation=replace(generation, changes=[new[id(file)] for file in generation.changes]),
        steps=[[new.get(id(file), file) for file in files] for files in stream.steps],
    )


def _stem(file: File) -> str:
    if isinstance(file, LoadFile):
        return f"{BASE}LOAD{file.counter + 1:08}"
    return CT + file.name.removesuffix(".csv.gz")


def _stated(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _text(columns: Sequence[str], rows: Sequence[Row]) -> str:
    lines = [",".join(column.upper() for column in columns)]
    lines += [",".join(_value(row.get(column)) for column in columns) for row in rows]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Write a value: NULL is empty, an empty text is quoted."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return str(value)
    return f'"{value}"' if isinstance(value, str) else str(value)
