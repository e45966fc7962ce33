"""The rows of many loads are read in batches that are bounded by rows and by bytes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.domain.product import Product, ProductKind
from cubic_ingestion.domain.table import Column
from cubic_ingestion.ledger.records import StandingLoad
from cubic_ingestion.products.rows import BATCH_BYTES, BATCH_ROWS, Addition, product_schema
from cubic_ingestion.products.source import rows_of_all
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot

AT = datetime(2022, 3, 4, tzinfo=UTC)
PRODUCT = Product(ProductKind.EVENTS, KAFKA_TABLE)


def written(
    depot: Depot, texts: "Sequence[pa.Array[Any]]", columns: Sequence[Column], *load_ids: int
) -> list[Addition]:
    """Write loads that have the same rows to Springboard."""
    additions: list[Addition] = []
    for load_id in load_ids:
        path = depot.root / "springboard" / f"{load_id}.parquet"
        path.parent.mkdir(exist_ok=True)
        n_rows = len(texts[0])
        arrays = [*texts, pa.repeat(pa.scalar(load_id, pa.int64()), n_rows)]
        pq.write_table(pa.table(arrays, names=[*(column.name for column in columns), "load_id"]), path)
        load = StandingLoad(load_id, path.name, f"{load_id}.json", n_rows, AT, None, tuple(columns))
        version = depot.platform.stores.springboard.head(path.name)
        assert version
        additions.append(Addition(load, version.etag, ()))
    return additions


@pytest.mark.parametrize("n_columns", [400, 40], ids=["wide", "less wide"])
def test_wide_rows_are_read_in_batches_of_a_few_megabytes(depot: Depot, n_columns: int) -> None:
    columns = [Column(f"c{number}", "string") for number in range(n_columns)]
    # Every row has the same text, so the file says nothing of how large the text is in memory.
    n_rows = 400_000 // n_columns
    additions = written(depot, [pa.array(["x" * 40] * n_rows)] * n_columns, columns, *range(1, 7))
    before = pa.total_allocated_bytes()

    largest = most = n_found = 0
    for rows in rows_of_all(depot.platform, additions, product_schema(PRODUCT, [tuple(columns)])):
        assert rows["row_number"][0].as_py() == n_found % n_rows + 1
        n_found += rows.num_rows
        largest = max(largest, rows.nbytes)
        most = max(most, pa.total_allocated_bytes() - before)

    assert n_found == 6 * n_rows
    assert largest < 2 * BATCH_BYTES
    assert most < 8 * BATCH_BYTES


def test_rows_of_many_small_loads_are_read_together_in_order(depot: Depot) -> None:
    columns = [Column("event_id", "string")]
    additions = written(depot, [pa.array(["a", "b"])], columns, *range(1, 101))

    (rows,) = rows_of_all(depot.platform, additions, product_schema(PRODUCT, [tuple(columns)]))

    assert rows["load_id"].to_pylist() == [load_id for load_id in range(1, 101) for _ in range(2)]
    assert rows["row_number"].to_pylist() == [1, 2] * 100


def test_a_load_that_is_larger_than_it_looked_is_read_once_all_the_same(depot: Depot) -> None:
    columns = [Column("event_id", "string")]
    long = pa.array([f"{number:05}" * 200 for number in range(15_000)])  # 1 kB each: two batches
    additions = written(depot, [long], columns, 1, 2)

    tables = list(rows_of_all(depot.platform, additions, product_schema(PRODUCT, [tuple(columns)])))

    assert len(tables) > 2
    assert pa.concat_tables(tables)["event_id"].combine_chunks() == pa.concat_arrays([long, long])
    assert sum(table.num_rows for table in tables) < BATCH_ROWS
