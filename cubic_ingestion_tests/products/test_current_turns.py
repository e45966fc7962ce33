"""Turns that a table takes while it has a ``__current``: products that are deselected, keys that go, loads that go."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from cubic_ingestion.domain.table import Table
from cubic_ingestion.products import key_files, scan, update
from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_change_table, a_dfm, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.products.current_story import BASE, CURRENT, put_changes, put_load
from cubic_ingestion_tests.products.deliveries import CHANGES, is_complete, shown
from cubic_ingestion_tests.products.deliveries import update as bring_up_to_date

pytestmark = pytest.mark.slow


def opened(root: Path, *, products: Sequence[str] | None = None, key: Sequence[str] = ()) -> Depot:
    """Open a depot whose ODS table is declared anew."""

    def declared(table: Table) -> Table:
        return replace(table, products=None if products is None else tuple(products), key=tuple(key))

    tables = [declared(an_ods_table()), declared(a_change_table())]
    return Depot.build(root, tables, limits=builders.limits(parallel_loads=1))


def names(depot: Depot) -> list[tuple[object, ...]]:
    return shown(depot, CURRENT, "sample_id, sample_name")


def test_what_changed_while_a_product_was_deselected_is_in_it_when_it_is_selected_again(tmp_path: Path) -> None:
    depot = opened(tmp_path)
    put_load(depot, 1, "1,a,\n2,b,\n")
    bring_up_to_date(depot)
    without = opened(tmp_path, products=["changes"])
    put_changes(without, "20220304-101500123", "100,D,2,,\n101,U,1,aa,\n")
    bring_up_to_date(without)

    again = opened(tmp_path)
    bring_up_to_date(again)

    assert names(again) == [(1, "aa")]
    assert is_complete(again)


def test_changes_of_a_table_whose_key_is_gone_wait_until_it_has_one_again(tmp_path: Path) -> None:
    depot = opened(tmp_path, key=["sample_id"])
    put_load(depot, 1, "1,a,\n2,b,\n")
    bring_up_to_date(depot)
    misspelled = opened(tmp_path, key=["sample_idd"])
    put_changes(misspelled, "20220304-101500123", "100,D,2,,\n")
    misspelled.settle()

    refused = update_products(misspelled.platform, run_id="test").refused

    assert "'sample_idd'" in refused[CURRENT]
    corrected = opened(tmp_path, key=["sample_id"])
    corrected.clock.advance(hours=2)
    bring_up_to_date(corrected)
    assert names(corrected) == [(1, "a")]
    assert is_complete(corrected)


def test_a_column_called_counter_is_a_column_like_others(tmp_path: Path) -> None:
    depot = opened(tmp_path)
    columns = [{"name": name, "type": "INT4", "primaryKeyPos": int(name == "A")} for name in ("A", "COUNTER")]
    depot.put(f"{BASE}LOAD00000001.dfm", a_dfm(columns, record_count=1))
    depot.put(f"{BASE}LOAD00000001.csv.gz", csv_gz("A,COUNTER\n1,7\n"))
    bring_up_to_date(depot)

    assert shown(depot, CURRENT, "a, counter") == [(1, 7)]


def test_more_than_fits_is_folded_in_parts_or_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depot = opened(tmp_path)
    put_load(depot, 1, "1,a,\n2,b,\n")
    bring_up_to_date(depot)
    monkeypatch.setattr(scan, "MOST_BYTES", 250)  # a change of these files has some 100 bytes
    for number in range(4):
        put_changes(depot, f"20220304-10150012{number}", f"10{number},U,1,a{number},\n")
    put_changes(depot, "20220304-101500129", "".join(f"20{number},I,{number},n{number},\n" for number in range(3, 9)))
    bring_up_to_date(depot)

    assert names(depot) == [(1, "a3"), (2, "b"), *((number, f"n{number}") for number in range(3, 9))]
    assert is_complete(depot)


def test_a_file_that_is_full_with_the_last_row_of_a_piece_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = opened(tmp_path)
    put_load(depot, 1, "".join(f"{number},n{number},\n" for number in range(8)))
    bring_up_to_date(depot)
    monkeypatch.setattr(key_files, "TARGET_BYTES", 1_000)
    write = key_files.KeyFileWriter.write

    def in_pieces(writer: key_files.KeyFileWriter, rows: Iterable[pa.Table], max_rows: int | None = None) -> None:
        together = pa.concat_tables(rows)
        write(writer, [together.slice(start, 4) for start in range(0, 8, 4)], max_rows and 4)

    monkeypatch.setattr(key_files.KeyFileWriter, "write", in_pieces)
    put_changes(depot, "20220304-101500123", "100,U,0,zero,\n")
    bring_up_to_date(depot)

    table = depot.platform.warehouse.open(CURRENT)
    assert table
    assert [file.n_rows for file in table.files()] == [4, 4]


def test_a_column_that_is_text_since_a_load_that_the_changes_lack_waits_for_them(tmp_path: Path) -> None:
    depot = opened(tmp_path)
    put_load(depot, 1, "1,a,0.5\n")
    put_changes(depot, "20220304-101500123", "100,I,2,b,1.0\n")
    bring_up_to_date(depot)
    columns = [
        {"name": name, "type": "STRING", "primaryKeyPos": int(name == "SAMPLE_ID")}
        for name in ("header__change_seq", "header__change_oper", "SAMPLE_ID", "SAMPLE_RATE")
    ]
    stem = "cubic/ods_qlik/EDW.SAMPLE__ct/20220305-101500123"
    depot.put(f"{stem}.dfm", a_dfm(columns, record_count=1))
    depot.put(f"{stem}.csv.gz", csv_gz("header__change_seq,header__change_oper,SAMPLE_ID,SAMPLE_RATE\n101,I,3,much\n"))
    put_load(depot, 2, "4,d,2.0\n")
    depot.settle()

    (reason,) = update_products(depot.platform, [an_ods_table().name], run_id="test").refused.values()

    assert CHANGES in reason
    depot.clock.advance(hours=2)
    bring_up_to_date(depot)
    rates = shown(depot, CURRENT, "sample_id, sample_rate")
    assert rates == [("1", "0.5"), ("2", "1.0"), ("3", "much"), ("4", "2.0")]
    assert is_complete(depot)


@pytest.mark.parametrize("key", [(), ("sample_id",)], ids=["by the .dfm", "declared"])
def test_a_product_of_which_nothing_stands_any_more_has_no_rows(tmp_path: Path, key: Sequence[str]) -> None:
    """Its only LOAD file was rejected while it was archived."""
    depot = opened(tmp_path, key=key)
    put_load(depot, 1, "1,a,\n")
    bring_up_to_date(depot)
    withdraw(tmp_path / "metadata.sqlite")

    assert update_products(depot.platform, run_id="test").refused == {}

    assert names(depot) == []
    assert update.products_with_changes(depot.platform) == []


def withdraw(database: Path) -> None:
    """Put on record that no load of the base table has rows any more, and deliver that."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE cubic_loads SET status = 'errored', location = NULL, n_rows = NULL")
        change = "INSERT INTO cubic_changes (table_id, load_id, kind, partition_key, inserted_at) "
        change += "SELECT table_id, id, 'withdrawn', partition_key, '2022-03-04 00:00:00.000000' FROM cubic_loads"
        change_id = connection.execute(change).lastrowid
        delivery = "INSERT INTO cubic_deliveries (consumer, table_id, change_id, is_seed, times) "
        delivery += "SELECT 'products', table_id, id, 0, 0 FROM cubic_changes WHERE id = ?"
        connection.execute(delivery, (change_id,))


def test_the_time_of_a_change_never_becomes_text(tmp_path: Path) -> None:
    depot = opened(tmp_path)
    put_load(depot, 1, "1,a,\n")
    put_changes(depot, "20220304-101500123", "100,U,1,aa,\n")
    bring_up_to_date(depot)
    put_finer_change(depot, "20220305-101500123", "101,I,2022-03-05 10:00:00.1234567,2,b")
    bring_up_to_date(depot)
    put_changes(depot, "20220304-101400123", "099,U,1,late,\n")
    bring_up_to_date(depot)

    kinds = shown(depot, CURRENT, "sample_name, cast(header__timestamp as varchar), typeof(header__timestamp)")
    assert kinds == [
        ("aa", "2022-03-04 10:00:00", "TIMESTAMP_NS"),
        ("b", "2022-03-05 10:00:00.1234567", "TIMESTAMP_NS"),
    ]


def test_changes_with_a_mask_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    depot = opened(tmp_path)
    put_load(depot, 1, "1,a,\n")
    columns = [
        {"name": name, "type": "STRING", "primaryKeyPos": int(name == "SAMPLE_ID")}
        for name in ("header__change_seq", "header__change_oper", "header__change_mask", "SAMPLE_ID", "SAMPLE_NAME")
    ]
    names_of = ",".join(str(column["name"]) for column in columns)
    stem = "cubic/ods_qlik/EDW.SAMPLE__ct/20220305-101500123"
    depot.put(f"{stem}.dfm", a_dfm(columns, record_count=1))
    depot.put(f"{stem}.csv.gz", csv_gz(f"{names_of}\n101,U,zz,1,aa\n"))
    bring_up_to_date(depot)
    put_changes(depot, "20220306-101500123", "102,I,2,b,\n")
    bring_up_to_date(depot)

    assert shown(depot, CURRENT, "sample_id, sample_name") == [("1", "a"), ("2", "b")]
    (why,) = depot.platform.ledger.product_trouble.refused_of(an_ods_table().name).values()
    assert "header__change_mask" in why


def test_a_product_of_which_nothing_is_on_record_is_built_anew(tmp_path: Path) -> None:
    """As after a downgrade and an upgrade."""
    depot = opened(tmp_path)
    put_load(depot, 1, "1,a,\n")
    bring_up_to_date(depot)
    with closing(sqlite3.connect(tmp_path / "metadata.sqlite")) as connection, connection:
        for table in ("products", "product_loads", "product_intents", "consumers", "deliveries"):
            connection.execute(f"DELETE FROM cubic_{table}")
    put_changes(depot, "20220304-101500123", "100,U,1,aa,\n")

    bring_up_to_date(depot)

    assert names(depot) == [(1, "aa")]
    assert is_complete(depot)


def put_finer_change(depot: Depot, time: str, line: str) -> None:
    header = ("header__change_seq", "header__change_oper", "header__timestamp")
    kinds = dict(
        zip((*header, "SAMPLE_ID", "SAMPLE_NAME"), ("STRING", "STRING", "DATETIME", "INT4", "STRING"), strict=True)
    )
    columns = [
        {"name": name, "type": kind, "scale": 7 * (kind == "DATETIME"), "primaryKeyPos": int(name == "SAMPLE_ID")}
        for name, kind in kinds.items()
    ]
    stem = f"cubic/ods_qlik/EDW.SAMPLE__ct/{time}"
    depot.put(f"{stem}.dfm", a_dfm(columns, record_count=1))
    depot.put(f"{stem}.csv.gz", csv_gz(f"{','.join(kinds)}\n{line}\n"))
