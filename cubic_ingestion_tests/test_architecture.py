"""The walls of the house: what holds for every module, whoever adds it."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cubic_ingestion"
TESTS = ROOT / "cubic_ingestion_tests"
BENCHMARKS = ROOT / "benchmarks"
SERVERS = ROOT / "local_servers"
MAY_IMPORT = {
    PACKAGE: {PACKAGE},
    SERVERS: {SERVERS},
    BENCHMARKS: {BENCHMARKS, PACKAGE, SERVERS},
    TESTS: {BENCHMARKS, PACKAGE, SERVERS, TESTS},
}
"""Which of the repository's packages each of them may import."""


WALLED = (PACKAGE, TESTS, SERVERS)
"""The packages that keep the rules below; benchmarks are scripts."""

MAX_LINES = 400
STANDARD_LIBRARY = {name for name in sys.stdlib_module_names if not name.startswith("_")}
NAMES_OF_NOTHING = {"base", "common", "core", "helper", "helpers", "lib", "misc", "shared", "tools", "util", "utils"}
ENDINGS_OF_NOTHING = ("Handler", "Helper", "Helpers", "Impl", "Manager", "Utils")
ROOMS_OF_THE_TESTS = {"contracts", "deployment", "faults", "golden", "integration"}
SWITCHES_OFF = re.compile(r"#\s*(?:noqa|type:\s*ignore|pyright:\s*ignore|pragma: no cover)")
WITH_REASON = re.compile(
    r"#\s*(?:noqa:\s*[A-Z0-9, ]+?|(?:type|pyright):\s*ignore\[[\w, -]+\]|pragma: no cover)\s+[-#(]\s*\w"
)


def _modules(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))


def test_every_contract_of_the_layers_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))

    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)

    assert status == EXIT_STATUS_SUCCESS, "'lint-imports' in the root tells which import goes the wrong way"


def test_no_package_of_the_repository_imports_one_that_it_does_not_know() -> None:
    """The product knows nothing else, and benchmarks run without the tests."""
    names = {package.name for package in MAY_IMPORT}
    wrong = {
        f"{_name(path)} imports {module}"
        for package, allowed in MAY_IMPORT.items()
        for path in _modules(package)
        for node in _nodes(path)
        for module in _imported(node)
        if module.partition(".")[0] in names - {each.name for each in allowed}
    }

    assert wrong == set()


def test_no_module_is_so_long_that_it_needs_a_second_floor() -> None:
    lengths = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in _modules(*WALLED)}

    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_every_folder_with_modules_is_a_package_that_says_what_belongs_in_it() -> None:
    folders = {path.parent for path in _modules(*WALLED)}
    silent = [_name(folder) for folder in folders if not _docstring(folder / "__init__.py")]

    assert silent == []


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    assert {_name(path) for path in _modules(PACKAGE) if _module_names(path) & STANDARD_LIBRARY} == set()


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert {_name(path) for path in _modules(*WALLED) if _module_names(path) & NAMES_OF_NOTHING} == set()


def test_no_class_has_a_name_that_says_nothing() -> None:
    vague = [
        f"{_name(path)}: {node.name}"
        for path in _modules(*WALLED)
        for node in _nodes(path)
        if isinstance(node, ast.ClassDef)
        and node.name.endswith(ENDINGS_OF_NOTHING)
        and not node.name.endswith("IOManager")  # Dagster's own word for the role
    ]

    assert vague == []


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        _name(path)
        for path in _modules(PACKAGE)
        for node in _nodes(path)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {a.name for a in node.names} & {"environ", "getenv"}
        )
    }

    assert readers <= {"cubic_ingestion/settings.py"}


def test_every_switched_off_check_has_its_reason_beside_it() -> None:
    bare = [
        f"{_name(path)}:{number}"
        for path in _modules(*WALLED)
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if SWITCHES_OFF.search(line) and not WITH_REASON.search(line)
    ]

    assert bare == []


def test_the_tests_mirror_the_package() -> None:
    rooms = {path.parent.relative_to(TESTS).parts[0] for path in _modules(TESTS) if path.parent != TESTS}

    assert {room for room in rooms - ROOMS_OF_THE_TESTS if not (PACKAGE / room).is_dir()} == set()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def _module_names(path: Path) -> set[str]:
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return {part for part in parts if not part.startswith("__")}


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else None
