"""Files whose names and values mean harm to the people who read them, or are not UTF-8."""

import os
from pathlib import Path

DMAP = b"cubic/dmap/agg_sample/"
HEADER = b"sample_id,sample_name,sample_count\n"
INCOMING = {
    DMAP + b"20220304\x1b[2J.csv": HEADER + b"1,a,10\n",
    DMAP + b"20220305\nerror: ALL LOST.csv": HEADER + b"1,a,10\n",
    DMAP + "20220306\u009b31m\u202e\u2028.csv".encode(): HEADER + b"1,a,10\n",
    DMAP + b"20220307.csv": HEADER + b"1,a\x1b[2J,1\x1b[2J\n",
    DMAP + b"20220308.csv": b"sample_id,sample\x1b[2J_name\n1,a\n",
    DMAP + b"caf\xe9_20220309.csv": HEADER + b"1,a,10\n",
    b"cubic/dmap/d\xe9j\xe0/x.csv": b"a\n1\n",
    b"cubic/dmap/un\x1b[31mdeclared/x.csv": b"a\n1\n",
    b"cubic/dmap/kept/20220304.csv": HEADER + b"1,\x1b[2J,10\n2,b,\x1b[2J\n",
    b"cubic/kafka/sample/a.json": b'{"event_id":"1"}\n',
    b"cubic/kafka/sample/b.json": '{"event_id":"2","x\\u001b[31mred":"v","Ünïcode 日本":"ß"}\n'.encode(),
    b"cubic/ods_qlik/EDW.SAMPLE__ct/20220304-134556444.csv.gz": b"without its sidecar",
    b"cubic/ods_qlik/EDW.SAMPLE__ct/\x1b]0;title\x07.csv.gz": b"without its sidecar",
}
LIVE = {
    # No file name has a slash, but a reader of Markdown makes one of its character reference.
    DMAP + b"![x](http:&#47;&#47;{host}&#47;name.png).csv": HEADER + b"1,a,10\n",
    DMAP + b"20220310.csv": HEADER + b"1,a,![x](http://{host}/bad.png)\n",
    DMAP + b"20220311.csv": b"sample_id,![x](http://{host}/header.png),a|b\n1,[log in again](http://{host}/),x|y\n",
    b"cubic/dmap/![x](http:&#47;&#47;{host}&#47;folder.png)/x.csv": b"a\n1\n",
    b"cubic/kafka/sample/c.json": b'{"event_id":"3","![x](http://{host}/field.png)":"<img src=http://{host}/tag.png>",'
    b'"`":"![x](http://{host}/value.png)","bare":"http://{host}/bare www.{host} me@{host} <http://{host}/>"}\n',
}
"""Pictures and links, as Markdown and HTML, that lead to a host."""
STRAY = (
    b"archive/cubic/dmap/agg_sample/st\x1b[2Jray\xe9.csv",
    b"error/cubic/dmap/agg_sample/st\x1b[2Jray\xe9.csv",
    b"springboard/cubic/dmap/agg_sample/identifier=\xe9\x1b[2J/part-0.parquet",
    b"archive/cubic/dmap/agg_sample/![x](http:&#47;&#47;{host}&#47;stray.png).csv",
)
KEPT = """
[[table]]
stream = "dmap"
name = "cubic__dmap__kept"
prefix = "cubic/dmap/kept/"
on_bad_value = "quarantine"
[table.columns]
sample_id = "int64"
sample_name = "string"
sample_count = "int64"
"""


def plant_hostile_files(home: Path, host: str = "planted.example") -> Path:
    """Put the files into a home that has not been used; returns the folder with the declarations that they need."""
    root = os.fsencode(home)
    planted = {b"incoming/" + name: data for name, data in (INCOMING | LIVE).items()}
    for name, data in (planted | dict.fromkeys(STRAY, b"x")).items():
        _write(root + b"/" + _leading_to(host, name), _leading_to(host, data))
    declarations = home.parent / "tables"
    _write(os.fsencode(declarations / "kept.toml"), KEPT.encode())
    return declarations


def _leading_to(host: str, text: bytes) -> bytes:
    return text.replace(b"{host}", host.encode())


def _write(path: bytes, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - no Path takes bytes
    with open(path, "wb") as file:  # noqa: PTH123 - no Path takes bytes
        file.write(data)
