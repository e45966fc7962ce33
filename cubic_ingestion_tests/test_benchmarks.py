"""The benchmarks' input, at a tiny size: it is what it says it is."""

import json
from pathlib import Path

from benchmarks.files import COLUMNS, write_csv, write_json
from cubic_ingestion.parsing.delimited import read_delimited
from cubic_ingestion.parsing.dfm import parse_dfm
from cubic_ingestion.parsing.json_records import read_json


def test_a_generated_csv_reads_back_with_the_rows_its_sidecar_states(tmp_path: Path) -> None:
    n_rows = write_csv(tmp_path / "t.csv.gz", 20_000)
    dfm = parse_dfm((tmp_path / "t.dfm").read_bytes())
    with (tmp_path / "t.csv.gz").open("rb") as body:
        records = read_delimited(
            body,
            columns=dfm.columns,
            dialect=dfm.dialect,
            undeclared="reject",
            missing="reject",
            expected_rows=dfm.record_count,
        )
        batches = list(records.batches)
    assert sum(batch.num_rows for batch in batches) == n_rows == dfm.record_count
    assert n_rows > 10
    assert [column.name for column in records.columns] == [name.lower() for name, *_ in COLUMNS]


def test_generated_events_read_back(tmp_path: Path) -> None:
    assert write_json(tmp_path / "e.json", 20) == 20
    with (tmp_path / "e.json").open("rb") as body:
        rows = [row for batch in read_json(body, columns=()).batches for row in batch.to_pylist()]
    assert len(rows) == 20
    assert all(isinstance(json.loads(row["device"]), dict) for row in rows)
