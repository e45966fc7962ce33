"""The README's recipes, run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cubic_ingestion.tables import check_tables

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CUBIC = Path(sys.executable).with_name("cubic")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def _run(folder: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CUBIC_", "DAGSTER_"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory in which the sample was ingested, as ``make run`` does."""
    path = tmp_path_factory.mktemp("readme")
    for command in ("demo", "ingest"):
        _run(path, str(CUBIC), command)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("recipe", _blocks("python"), ids=lambda recipe: recipe.splitlines()[0])
def test_every_python_recipe_runs(folder: Path, recipe: str) -> None:
    _run(folder, sys.executable, "-W", "error", "-c", recipe)


@pytest.mark.parametrize("example", _blocks("toml"))
def test_each_example_of_a_declaration_is_sound(tmp_path: Path, example: str) -> None:
    (tmp_path / "example.toml").write_text(example, encoding="utf-8")

    assert check_tables([tmp_path]) == []
