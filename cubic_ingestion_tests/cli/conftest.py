"""The command line, called as its entry point is, on homes of its own."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cubic_ingestion.cli import main
from cubic_ingestion.defs import build
from cubic_ingestion_tests.databases import database_url
from cubic_ingestion_tests.homes import close_depots, enter

__all__ = ["cubic", "database_url", "home", "ingested_home"]

build.build_table_asset = cache(build.build_table_asset)
"""Those of all tables are made once a process; a command takes as long for them as for its work."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    exit_code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON; nothing else may stand there."""
        return json.loads(self.out)

    @property
    def text(self) -> str:
        """What it printed for people, without the lines of tables."""
        return " ".join(self.out.replace("│", " ").replace("┃", " ").split())


Cubic = Callable[..., Outcome]


@pytest.fixture
def cubic(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cubic:
    """Run ``cubic`` with arguments, in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["cubic", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home that the environment names."""
    yield enter(tmp_path, monkeypatch)
    close_depots()


@pytest.fixture(scope="module")
def ingested_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which the sample was ingested; the environment names it while the module's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        home = enter(tmp_path_factory.mktemp("ingested"), patch)
        for command in ("demo", "ingest"):
            patch.setattr(sys, "argv", ["cubic", command])
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == 0
        yield home
