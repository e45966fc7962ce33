"""Every object in Incoming is ingested, or named by ``cubic status`` and by ``cubic audit``, in a folder and on S3."""

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.s3 import name_s3, new_bucket, s3

__all__ = ["s3"]

CSV = b"sample_id,sample_name,sample_count\n1,a,10\n"
TAKEN = "cubic/dmap/agg_sample/20220304.csv"
ORDINARY = {
    "top.csv": "no table declares it",
    "other/20220304.csv": "no table declares it",
    "cubic/loose.csv": "no table declares it",
    "cubic/elsewhere/deep/20220304.csv": "no table declares it",
    "cubic/dmap/loose.csv": "no table declares it",
    "cubic/dmap/agg_sample/sub/20220305.csv": "no table declares it",
    "cubic/ods_qlik/EDW.SAMPLE/LOAD7.dfm": "sidecars whose files did not come",
    "cubic/dmap/agg_sample/.20220306.csv.part": "a part of its key begins with a dot",
    ".hidden/20220304.csv": "a part of its key begins with a dot",
}
IN_A_BUCKET = {
    "cubic/dmap/agg_sample//20220316.csv": "a part of its key is empty",
    "cubic/dmap//agg_sample/20220316.csv": "a part of its key is empty",
    "cubic/dmap/agg_sample/./20220316.csv": "a part of its key begins with a dot",
    "//20220316.csv": "a part of its key is empty",
}


def line_of(text: str, key: str) -> str:
    """Return the line that names a key."""
    return next((line for line in text.splitlines() if f" {key}" in line), "")


def unnamed(cubic: Cubic, expected: dict[str, str]) -> list[str]:
    """Return the keys that are not named, with their reason, by all who should."""
    ingest = cubic("ingest")
    assert ingest.exit_code == 0
    assert [line for line in ingest.out.splitlines() if "left alone" in line] == [
        f"{len(expected)} objects are left alone in Incoming, since no table takes them. See which: cubic status"
    ]
    status, audit = cubic("status"), cubic("audit")
    assert f"Looked at: 1 archive object, 0 error objects, {len(expected)} incoming objects" in audit.out
    assert (status.exit_code, audit.exit_code) == (0, 0)
    as_json = cubic("status", "--json").json["unknown_objects"]
    named = {f"{group['folder']}{name}": group["why"] for group in as_json for name in group["names"]}
    assert named.keys() == expected.keys()
    assert [key for key in expected if named[key] != expected[key]] == []
    return [
        f"{key}: {why}"
        for key, why in expected.items()
        for told in (status.out, audit.out)
        if why not in line_of(told, key)
    ]


def test_in_a_folder(cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBIC_SIDECAR_WAIT_SECONDS", "60")
    incoming = home / "incoming"
    an_hour_ago = time.time() - 3_600
    for key in (TAKEN, *ORDINARY):
        path = incoming / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CSV)
        os.utime(path, (an_hour_ago, an_hour_ago))
    linked = home.parent / "elsewhere"
    linked.mkdir()
    (linked / "20220304.csv").write_bytes(CSV)
    (incoming / "cubic/kafka/sample").mkdir(parents=True)
    (incoming / "cubic/dmap/agg_linked").symlink_to(linked)
    (incoming / "cubic/kafka/sample/linked.json").symlink_to(linked / "20220304.csv")
    (incoming / "link").symlink_to(linked)
    os.mkfifo(incoming / "cubic/dmap/agg_sample/pipe.csv")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(incoming / "cubic/dmap")
        listening.bind("socket")
        monkeypatch.chdir(home.parent)
    (incoming / "cubic/dmap/agg_sample/.0123456789abcdef0123456789abcdef.tmp").write_bytes(b"a draft of our own")
    special = {
        "cubic/dmap/agg_linked": "it is a symbolic link",
        "cubic/kafka/sample/linked.json": "it is a symbolic link",
        "link": "it is a symbolic link",
        "cubic/dmap/agg_sample/pipe.csv": "it is a socket, a pipe or a device",
        "cubic/dmap/socket": "it is a socket, a pipe or a device",
    }
    expected = {key: why for key, why in ORDINARY.items() if key != ".hidden/20220304.csv"} | special
    expected[".hidden"] = ORDINARY[".hidden/20220304.csv"]

    assert unnamed(cubic, expected) == []
    assert not (incoming / TAKEN).exists()


def test_in_a_bucket(cubic: Cubic, home: Path, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name_s3(s3, monkeypatch)
    bucket = new_bucket(s3)
    monkeypatch.setenv("CUBIC_INCOMING_URL", f"s3://{bucket}/dev")
    monkeypatch.setenv("CUBIC_SIDECAR_WAIT_SECONDS", "0")
    expected = ORDINARY | IN_A_BUCKET
    for key in (TAKEN, *expected):
        s3.put_object(Bucket=bucket, Key=f"dev/{key}", Body=CSV)
    s3.put_object(Bucket=bucket, Key="dev/cubic/dmap/agg_sample/folder/", Body=b"")

    assert unnamed(cubic, expected) == []
    assert home.is_dir()


def test_where_everything_is_left_alone_nobody_says_that_there_is_nothing(cubic: Cubic, home: Path) -> None:
    path = home / "incoming/cubic/dmap/agg_smaple/20220304.csv "
    path.parent.mkdir(parents=True)
    path.write_bytes(CSV)
    ingest, status = cubic("ingest"), cubic("status")
    assert "1 object is left alone in Incoming" in ingest.out
    assert cubic("ingest", "--json").json["left_alone"] == 1
    assert status.text.startswith("No loads: 1 object in Incoming, and no table takes any of them.")
    assert r"cubic/dmap/agg_smaple/20220304.csv\x20" in status.out


def test_many_objects_outside_are_looked_at_in_bounded_time(cubic: Cubic, home: Path) -> None:
    for number in range(2_500):
        path = home / f"incoming/a{number // 100}/{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    cubic("db", "upgrade")
    groups = cubic("status", "--json").json["unknown_objects"]
    assert sum(group["n_objects"] for group in groups) == 1_000


def test_what_lies_behind_a_full_stream_is_found(cubic: Cubic, home: Path) -> None:
    for number in range(1_500):
        path = home / f"incoming/cubic/dmap/agg_sample/{number:08}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CSV)
    (home / "incoming/cubic/zzz.csv").write_bytes(CSV)
    cubic("db", "upgrade")
    assert [group["names"] for group in cubic("status", "--json").json["unknown_objects"]] == [["zzz.csv"]]
