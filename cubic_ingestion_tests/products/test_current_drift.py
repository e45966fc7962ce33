"""Keys and columns of ``__current`` that change within a generation, and what brings no change to it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cubic_ingestion.observability.problems import Thresholds
from cubic_ingestion.observability.products_behind import products_behind
from cubic_ingestion.products import key_files
from cubic_ingestion.products.steps import merge_of
from cubic_ingestion_tests.builders import a_dfm, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.products.deliveries import CT, CURRENT, is_complete, open_depot, shown, update

BASE, VIEW = "cubic__ods_qlik__edw_sample", "cubic__ods_qlik__edw_sample__ct"
LOAD = "cubic/ods_qlik/EDW.SAMPLE/LOAD0000000"
OLD_AT, NEW_AT = "2022-03-01T00:00:00.000", "2022-03-04T09:00:00.000"
Type = str | Mapping[str, Any]


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with an ODS table."""
    return open_depot(tmp_path)


def put_load(
    depot: Depot,
    number: int,
    columns: Mapping[str, Type],
    *rows: str,
    key: Sequence[str] = ("ID",),
    started_at: str = OLD_AT,
) -> None:
    """Let a LOAD file land."""
    _put(depot, f"{LOAD}{number}", columns, rows, key, started_at)


def put_changes(
    depot: Depot,
    minute: int,
    columns: Mapping[str, Type],
    *rows: str,
    key: Sequence[str] = ("ID",),
) -> None:
    """Let a change file of a minute land; a row begins with sequence and operation."""
    header = {"header__change_seq": "STRING", "header__change_oper": "STRING", "header__timestamp": "DATETIME"}
    full = [f"{seq},{oper},2022-03-04 10:00:00,{rest}" for seq, oper, rest in (row.split(",", 2) for row in rows)]
    _put(depot, f"{CT}20220304-10{minute:02}00123", header | dict(columns), full, key, "")


def _put(
    depot: Depot, stem: str, columns: Mapping[str, Type], rows: Sequence[str], key: Sequence[str], started_at: str
) -> None:
    declared = [
        {"name": name, "primaryKeyPos": key.index(name) + 1 if name in key else 0}
        | ({"type": kind} if isinstance(kind, str) else dict(kind))
        for name, kind in columns.items()
    ]
    depot.put(f"{stem}.dfm", a_dfm(declared, record_count=len(rows), started_at=started_at))
    depot.put(f"{stem}.csv.gz", csv_gz("\n".join([",".join(columns), *rows]) + "\n"))


def numeric(precision: int, scale: int) -> Type:
    return {"type": "NUMERIC", "precision": precision, "scale": scale}


@pytest.mark.parametrize("target_bytes", [1, key_files.TARGET_BYTES])
@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        ("INT4", numeric(12, 2), "1.25"),
        ("INT4", "STRING", "x"),
        ("UINT8", "INT8", "-5"),
        ("UINT8", numeric(20, 0), "5"),
        (numeric(10, 2), numeric(14, 2), "1.25"),
        (numeric(10, 2), numeric(14, 6), "1.250001"),
        ("REAL4", "REAL8", "1.5"),
    ],
)
def test_keys_are_compared_after_their_type_has_widened(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, before: Type, after: Type, value: str, target_bytes: int
) -> None:
    monkeypatch.setattr(key_files, "TARGET_BYTES", target_bytes)
    put_load(depot, 1, {"ID": before, "NAME": "STRING"}, "7,a", "8,b", "9,c")
    update(depot)
    put_changes(depot, 1, {"ID": before, "NAME": "STRING"}, "1,U,7,aa")
    update(depot)
    put_changes(depot, 2, {"ID": after, "NAME": "STRING"}, "2,U,8,bb", f"2,I,{value},d")
    update(depot)
    put_changes(depot, 3, {"ID": before, "NAME": "STRING"}, "3,D,9,", "3,U,7,aaa")
    update(depot)

    names = {name: str(text) for text, name in shown(depot, CURRENT, "id, name")}
    assert {name: float(text) for name, text in names.items() if name != "d"} == {"aaa": 7, "bb": 8}
    assert names["d"].rstrip("0") == value.rstrip("0")
    assert is_complete(depot)


def test_a_key_of_nanoseconds_and_one_of_the_largest_numbers_are_kept(depot: Depot) -> None:
    moment = {"type": "DATETIME", "scale": 9}
    columns: dict[str, Type] = {"MOMENT": moment, "N": "UINT8", "T": "TIME", "NAME": "STRING"}
    first = "2022-03-04 10:11:12.1234567"
    put_load(depot, 1, columns, f"{first},{2**64 - 1},23:59:59,a", f"{first},1,00:00:00,b", key=("MOMENT", "N"))
    update(depot)
    put_changes(
        depot,
        1,
        columns,
        f"1,U,{first},{2**64 - 1},,aa",
        f"1,I,1969-12-31 23:59:59.1234561,{2**64 - 1},,c",
        key=("MOMENT", "N"),
    )
    update(depot)

    assert shown(depot, CURRENT, "name, moment::varchar, n, t::varchar, typeof(moment), typeof(n)") == [
        ("aa", "2022-03-04 10:11:12.1234567", 2**64 - 1, "23:59:59", "TIMESTAMP_NS", "UBIGINT"),
        ("b", "2022-03-04 10:11:12.1234567", 1, "00:00:00", "TIMESTAMP_NS", "UBIGINT"),
        ("c", "1969-12-31 23:59:59.1234561", 2**64 - 1, None, "TIMESTAMP_NS", "UBIGINT"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "old", "new"),
    [
        ("INT4", numeric(12, 2), "7", "1.25"),
        (numeric(10, 2), numeric(14, 2), "7.25", "1.25"),
        (numeric(10, 2), numeric(14, 6), "7.25", "1.250001"),
        ("INT4", "STRING", "7", "x"),
        ("REAL4", "REAL8", "7.5", "1.5"),
        ("UINT8", "INT8", str(2**64 - 1), "-5"),
        ("DATETIME", {"type": "DATETIME", "scale": 9}, "2022-03-04 10:11:12.123456", "2022-03-04 10:11:12.1234567"),
        (
            {"type": "DATETIME", "scale": 9},
            {"type": "DATETIME", "scale": 9},
            "2022-03-04 10:11:12.123456",
            "2022-03-04 10:11:12.1234567",
        ),
        ("DATE", "STRING", "2022-03-04", "soon"),
    ],
)
def test_a_column_that_comes_and_widens_reads_like_the_view_over_springboard(
    depot: Depot, before: Type, after: Type, old: str, new: str
) -> None:
    put_load(depot, 1, {"ID": "INT4"})
    put_changes(depot, 1, {"ID": "INT4"}, "1,I,1")
    update(depot)
    put_changes(depot, 2, {"ID": "INT4", "A": before}, f"2,I,2,{old}")
    update(depot)
    put_changes(depot, 3, {"ID": "INT4", "A": after}, f"3,I,3,{new}")
    update(depot)
    put_changes(depot, 4, {"ID": "INT4", "A": before}, f"4,I,4,{old}")
    update(depot)

    columns = "id, a, typeof(a), header__change_seq, header__timestamp, load_id"
    assert len(shown(depot, CURRENT, columns)) == 4
    theirs = columns.replace("load_id", "load_id::bigint")
    assert shown(depot, CURRENT, columns) == shown(depot, VIEW, theirs)
    assert is_complete(depot)


def test_a_key_that_changes_within_a_generation_is_that_of_the_newest_file(depot: Depot) -> None:
    columns = {"ID": "INT4", "PART": "STRING", "NAME": "STRING"}
    put_load(depot, 1, columns, "1,a,first", "1,b,second")
    update(depot)
    assert shown(depot, CURRENT, "id, part, name") == [(1, "b", "second")]

    put_load(depot, 2, columns, "2,a,third", key=("ID", "PART"), started_at="2022-03-01T00:01:00.000")
    update(depot)
    assert shown(depot, CURRENT, "name") == [("first",), ("second",), ("third",)]

    put_changes(depot, 1, columns, "1,U,1,c,fourth", key=("ID",))
    update(depot)
    assert shown(depot, CURRENT, "id, part, name") == [(1, "c", "fourth"), (2, "a", "third")]
    assert is_complete(depot)


def test_a_table_without_a_key_has_no_current_and_keeps_nobody_waiting(depot: Depot) -> None:
    put_load(depot, 1, {"ID": "INT4"}, "1", key=())
    put_changes(depot, 1, {"ID": "INT4"}, "1,I,2", key=())
    update(depot)

    assert depot.platform.warehouse.open(CURRENT) is None
    assert problems(depot) == []

    put_changes(depot, 2, {"ID": "INT4"}, "2,U,1")
    update(depot)
    assert shown(depot, CURRENT, "id, header__change_seq") == [(1, "2"), (2, "1")]
    assert problems(depot) == []
    assert is_complete(depot)


def problems(depot: Depot) -> list[str]:
    """Say which products are behind tomorrow."""
    platform = depot.platform
    depot.clock.advance(days=1)
    thresholds = Thresholds(platform.limits)
    found = products_behind(platform.tables, platform.ledger, depot.clock.now(), thresholds)
    return [problem.message for problem in found]


def test_a_load_with_an_unknown_operation_is_left_out_until_it_is_restated(depot: Depot) -> None:
    put_load(depot, 1, {"ID": "INT4"}, "1")
    update(depot)
    put_changes(depot, 1, {"ID": "INT4"}, "1,I,2")
    put_changes(depot, 2, {"ID": "INT4"}, "2,I,3", "3,X,4")
    put_changes(depot, 3, {"ID": "INT4"}, "4,I,5", ",I,6")
    update(depot)
    assert shown(depot, CURRENT, "id") == [(1,), (2,)]
    assert refused(depot) == ["a change has no header__change_seq", "a change has the unknown operation 'X'"]

    put_changes(depot, 2, {"ID": "INT4"}, "2,I,3", "3,I,4")
    put_changes(depot, 3, {"ID": "INT4"}, "4,I,5", "5,I,6")
    update(depot)
    assert shown(depot, CURRENT, "id") == [(1,), (2,), (3,), (4,), (5,), (6,)]
    assert refused(depot) == []
    assert is_complete(depot)


def refused(depot: Depot) -> list[str]:
    """Say why loads are refused."""
    held = depot.platform.ledger.products.held(BASE)
    return sorted(each.refused for each in held.values() if each.refused)


def test_changes_of_a_retired_generation_leave_the_product_as_it_is(depot: Depot) -> None:
    put_load(depot, 1, {"ID": "INT4"}, "1")
    update(depot)
    put_load(depot, 1, {"ID": "INT4"}, "2", started_at="2022-03-04T10:05:00.000")
    put_changes(depot, 10, {"ID": "INT4"}, "7,I,3")
    update(depot)
    before = commits(depot)
    put_changes(depot, 1, {"ID": "INT4"}, "8,I,4")
    update(depot)
    assert commits(depot) == before

    put_changes(depot, 11, {"ID": "INT4"}, "9,I,5")
    update(depot)
    assert shown(depot, CURRENT, "id") == [(2,), (3,), (5,)]
    assert len(commits(depot)) == len(before) + 1
    assert merge_of(depot.platform.warehouse.open(CURRENT)) == depot.platform.ledger.products.last_merge(BASE)
    assert is_complete(depot)


def commits(depot: Depot) -> list[int]:
    table = depot.platform.warehouse.open(CURRENT)
    assert table is not None
    return [snapshot.id for snapshot in table.snapshots()]
