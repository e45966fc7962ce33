"""Files of an ODS table with a key: LOADs and changes that land, and what its ``__current`` then shows."""

from pathlib import Path

from cubic_ingestion_tests.builders import a_dfm, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.products.deliveries import CT, open_depot, update

CURRENT = "cubic__ods_qlik__edw_sample__current"
BASE = "cubic/ods_qlik/EDW.SAMPLE/"
_OWN = [("SAMPLE_ID", "INT4"), ("SAMPLE_NAME", "STRING"), ("SAMPLE_RATE", "REAL8")]
_HEADER = [("header__change_seq", "STRING"), ("header__change_oper", "STRING"), ("header__timestamp", "DATETIME")]


def put_load(depot: Depot, number: int, rows: str, day: int = 1, key: str = "SAMPLE_ID") -> None:
    """Let a LOAD file land. Each line: id, name, rate."""
    started_at = f"2022-03-{day:02}T00:0{number}:00.000"
    _put(depot, f"{BASE}LOAD0000000{number}", _OWN, rows, key, started_at)


def put_changes(depot: Depot, time: str, rows: str, key: str = "SAMPLE_ID") -> None:
    """Let a change file land. Each line: sequence, operation, id, name, rate."""
    lines = [line.split(",", 2) for line in rows.splitlines()]
    full = "".join(f"{seq},{oper},2022-03-04 10:00:00,{own}\n" for seq, oper, own in lines)
    _put(depot, f"{CT}{time}", [*_HEADER, *_OWN], full, key, "2022-03-04T00:00:00.000")


def _put(depot: Depot, stem: str, columns: list[tuple[str, str]], rows: str, key: str, started_at: str) -> None:
    described = [{"name": name, "type": kind, "primaryKeyPos": int(name == key)} for name, kind in columns]
    depot.put(f"{stem}.dfm", a_dfm(described, record_count=rows.count("\n"), started_at=started_at))
    depot.put(f"{stem}.csv.gz", csv_gz(",".join(name for name, _ in columns) + "\n" + rows))


def tell_story(root: Path) -> Depot:
    """LOAD, changes, a late change, rows that move, an orphan, a change file that is restated."""
    depot = open_depot(root)
    put_load(depot, 1, "1,a,0.5\n2,b,\n3,c,1.5\n3,again,1.5\n")
    update(depot)
    put_changes(depot, "20220304-101500123", "100,U,1,aa,\n101,I,4,d,2.5\n102,D,2,,\n109,U,99,orphan,\n")
    update(depot)
    put_changes(depot, "20220304-101600123", "099,U,1,late,7.5\n099,U,4,too early,\n")
    update(depot)
    put_changes(depot, "20220304-101700123", "110,B,4,,\n110,U,5,,\n111,B,5,d,\n111,U,5,dd,\n112,B,77,image,9\n")
    put_changes(depot, "20220304-101800123", "112,U,78,,\n113,D,3,,\n")
    update(depot)
    put_changes(depot, "20220304-101500123", "100,U,1,restated,\n101,I,4,d,2.5\n102,D,2,,\n")
    put_load(depot, 2, "7,g,\n8,h,\n")
    update(depot)
    return depot
