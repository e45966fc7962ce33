"""Names and values that mean harm, or are not UTF-8, in what every command prints: shown, and acting on nobody.

The commands are those that the command line has, so a new one is tested by itself.
"""

import ast
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cubic_ingestion import cli
from cubic_ingestion.cli import main
from cubic_ingestion.cli.output import json_text
from cubic_ingestion.ledger.upgrade import NEWEST
from cubic_ingestion.outside_text import ACTING
from cubic_ingestion_tests.cli.test_app import ALL, CUBIC, LEAVES
from cubic_ingestion_tests.homes import enter
from cubic_ingestion_tests.hostile_files import plant_hostile_files

VALUES = {"load_id": "1", "table": "cubic__kafka__sample", "revision": NEWEST}
"""What required arguments are given, by name; any other is ``1``."""
OPTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("metrics",): ("--once",),
    ("loads", "retry"): ("--table", "cubic__dmap__agg_sample"),
    ("products", "switch"): ("--to", "\x1b[2J\u202e"),
    ("loads", "acknowledge"): ("1", "--reason", "\x1b[2J\u202e"),
}
"""Without these a command would serve for ever, or refuse to begin."""
NEED_MORE = {("dmap", "fetch"), ("kafka", "batch"), ("products", "switch")}
"""They end with what they need: the name of a setting, or a product that shows a snapshot."""

UNDECLARED = [
    "cubic/dmap/![x](http:&#47;&#47;planted.example&#47;folder.png)/",
    "cubic/dmap/d\\xe9j\\xe0/",
    "cubic/dmap/un\x1b[31mdeclared/",
]
ENCODINGS = ("utf-8:strict", "utf-8:surrogateescape", "ascii:strict", "latin-1:strict")


@dataclass(frozen=True)
class Written:
    """What a command left behind, in bytes."""

    exit_code: int
    out: bytes
    error: bytes


@pytest.fixture(scope="module")
def hostile_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose files mean harm, after ``cubic ingest``; the environment names it while the module's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        home = enter(tmp_path_factory.mktemp("hostile"), patch)
        patch.setenv("CUBIC_TABLES_DIR", str(plant_hostile_files(home)))
        patch.setenv("CUBIC_LOG_LEVEL", "info")
        assert run(["ingest"], "utf-8:strict").exit_code == 1
        yield home


pytestmark = pytest.mark.usefixtures("hostile_home")


def run(arguments: Sequence[str], encoding: str) -> Written:
    """Run ``cubic`` in this process, with standard output as ``PYTHONIOENCODING`` makes it."""
    name, _, errors = encoding.partition(":")
    out, error = io.BytesIO(), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["cubic", *arguments])
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, name, errors))
        patch.setattr(sys, "stderr", io.TextIOWrapper(error, name, "backslashreplace"))
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        sys.stderr.flush()
        code = ended.value.code
        return Written(code if isinstance(code, int) else 0, out.getvalue(), error.getvalue())


def command_line(path: tuple[str, ...]) -> list[str]:
    needed = [one for one in ALL[path].params if one.required and one.param_type_name == "argument"]
    return [*path, *(VALUES.get(str(one.name), "1") for one in needed), *OPTIONS.get(path, ())]


def acting(data: bytes, encoding: str) -> list[str]:
    """Find what acts on who reads it; a line feed ends a line."""
    return [each for each in ACTING.findall(data.decode(encoding.partition(":")[0])) if each != "\n"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_no_command_passes_on_what_acts_and_none_ends_with_a_traceback(path: tuple[str, ...], encoding: str) -> None:
    written = run(command_line(path), encoding)

    assert b"Traceback" not in written.error, written.error.decode()
    assert (written.exit_code == 2) == (path in NEED_MORE), written.error.decode()
    assert acting(written.out, encoding) == []
    assert acting(written.error, encoding) == []
    assert b"\nerror: ALL LOST" not in written.out + written.error


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
@pytest.mark.parametrize(
    "path", [p for p in LEAVES if any("--json" in one.opts for one in ALL[p].params)], ids=" ".join
)
def test_json_is_one_document_in_utf_8_whatever_the_encoding(path: tuple[str, ...], encoding: str) -> None:
    written = run([*command_line(path), "--json"], encoding)

    assert b"Traceback" not in written.error, written.error.decode()
    if path not in NEED_MORE:
        assert written.exit_code in (0, 1), written.error.decode()
        assert msgspec.json.decode(written.out) == json.loads(written.out.decode())
    assert acting(written.out, "utf-8") == []


def test_the_names_are_shown_to_people_with_their_escapes() -> None:
    shown = {
        command: run(command.split(), "utf-8:strict").out.decode()
        for command in ("status", "audit", "loads list", "tables changes cubic__kafka__sample")
    }

    assert r"cubic/dmap/d\xe9j\xe0/" in shown["status"]
    assert r"cubic/dmap/un\x1b[31mdeclared/" in shown["status"]
    assert r"st\x1b[2Jray\xe9.csv" in shown["audit"]
    assert r"20220304\x1b[2J.csv" in shown["loads list"]
    assert r"20220305\nerror: ALL LOST.csv" in shown["loads list"]
    assert r"20220306\u009b31m\u202e\u2028.csv" in shown["loads list"]
    assert r"x\x1b[31mred" in shown["tables changes cubic__kafka__sample"]
    assert "ünïcode 日本" in shown["tables changes cubic__kafka__sample"]


def test_every_loads_story_has_as_many_lines_as_facts() -> None:
    for load in _json("loads", "list"):
        facts = [name for name, value in _json("loads", "show", str(load["id"])).items() if value is not None]
        lines = run(["loads", "show", str(load["id"])], "utf-8:strict").out.decode().splitlines()
        assert [line.split()[0] for line in lines] == facts


def test_json_has_the_exact_names_for_scripts_and_bytes_that_are_not_utf_8_as_escapes() -> None:
    keys = {load["key"] for load in _json("loads", "list")}
    undeclared = _json("status")["undeclared_prefixes"]
    findings = {finding["key"] for finding in _json("audit")["findings"]}

    assert "cubic/dmap/agg_sample/20220304\x1b[2J.csv" in keys
    assert "cubic/dmap/agg_sample/20220306\u009b31m\u202e\u2028.csv" in keys
    assert undeclared == UNDECLARED
    assert "cubic/dmap/agg_sample/st\x1b[2Jray\\xe9.csv" in findings


def _json(*arguments: str) -> Any:
    return json.loads(run([*arguments, "--json"], "utf-8:strict").out.decode())


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": each} for each in ENCODINGS] + [{"LANG": "C"}, {"LC_ALL": "POSIX"}, {"LC_ALL": "C.UTF-8"}],
    ids=lambda environment: " ".join(f"{name}={value}" for name, value in environment.items()),
)
def test_a_real_process_names_everything_in_any_locale(environment: dict[str, str]) -> None:
    neutral = {name: value for name, value in os.environ.items() if name != "LANG" and not name.startswith("LC_")}
    text, document = (
        subprocess.run(
            [CUBIC, "status", *form], capture_output=True, env=neutral | environment, check=True, timeout=120
        ).stdout
        for form in ((), ("--json",))
    )

    assert rb"cubic/dmap/d\xe9j\xe0/" in text
    assert acting(text, environment.get("PYTHONIOENCODING", "utf-8")) == []
    assert msgspec.json.decode(document)["undeclared_prefixes"] == UNDECLARED


def test_a_defect_s_traceback_shows_names_with_their_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    def defective() -> None:
        raise KeyError("a\nb", "\x1b[2J") from ValueError("\x1b[2J\udce9")

    monkeypatch.setattr("cubic_ingestion.cli.app.app", defective)
    written = run([], "utf-8:strict")

    assert written.exit_code == 2
    assert written.error.startswith(b"ValueError: \\x1b[2J\\xe9\n")
    assert acting(written.error, "utf-8") == []


def test_json_keeps_ordinary_text_readable() -> None:
    assert json_text({"ünïcode": ["日本\n", "\\"]}) == '{"ünïcode": ["日本\\n", "\\\\"]}'


def test_no_module_of_the_command_line_prints_past_the_one_that_knows_how() -> None:
    modules = [path for path in Path(cli.__file__).parent.glob("*.py") if path.name != "output.py"]
    calls = [
        f"{path.name}:{node.lineno}: {ast.unparse(node.func)}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"print", "typer.echo", "typer.secho", "console.print", "sys.stdout.write"}
    ]

    assert calls == [], "use say, warn, print_rows, print_facts, print_json or write of cli/output.py"
