"""The documents say what the code does: whatever people can meet is told, and whatever is told is there."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import typer.core
import typer.main

from cubic_ingestion import errors
from cubic_ingestion.cli.app import app
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import ErrorCode
from cubic_ingestion.observability.problems import ProblemCode
from cubic_ingestion.pipeline.audit import FindingCode
from cubic_ingestion.settings import Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
OBSERVABILITY = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
CONTEXT = (ROOT / "CONTEXT.md").read_text(encoding="utf-8")

SETTINGS = {str(field.validation_alias or f"CUBIC_{name.upper()}") for name, field in Settings.model_fields.items()}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADINGS_OF_A_DECISION = ("## Context", "## Decision", "## Alternatives rejected", "## How we would know we were wrong")


def _commands() -> dict[str, typer.core.TyperCommand]:
    return dict(_leaves(typer.main.get_command(app), "cubic"))


def _leaves(command: object, name: str) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    if isinstance(command, typer.core.TyperGroup):
        for part, child in command.commands.items():
            yield from _leaves(child, f"{name} {part}")
    else:
        assert isinstance(command, typer.core.TyperCommand)
        yield name, command


def _raised_codes() -> set[str]:
    """Collect the reasons for which a load is rejected, wherever one is worded."""
    sources = (ROOT / "cubic_ingestion").rglob("*.py")
    return {code for path in sources for code in _codes_in(ast.parse(path.read_text(encoding="utf-8")))}


def _codes_in(module: ast.Module) -> Iterator[str]:
    """Yield the literals that become the code of an error, given to it or to a function that passes it on."""
    takers = {"LoadError": 0, "RejectedLoadError": 0} | _functions_with_a_code(module)
    for call in (node for node in ast.walk(module) if isinstance(node, ast.Call) and _called(node) in takers):
        named = next((word.value for word in call.keywords if word.arg == "code"), None)
        given = named or next(iter(call.args[takers[_called(call)] :]), None)
        if isinstance(given, ast.Constant):
            yield str(given.value)
        else:
            passed_on = isinstance(given, ast.Attribute | ast.Name)
            assert passed_on, f"line {call.lineno}: word an error's code as a literal, so that it can be searched for"


def _functions_with_a_code(module: ast.Module) -> dict[str, int]:
    """Find functions with a parameter ``code``, and where in a call it stands."""
    functions = (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))
    names = {function.name: [argument.arg for argument in function.args.args] for function in functions}
    return {name: [n for n in args if n != "self"].index("code") for name, args in names.items() if "code" in args}


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _section(document: str, heading: str) -> str:
    _, found, rest = document.partition(f"\n## {heading}\n")
    assert found, f"no section '{heading}'"
    return rest.partition("\n## ")[0]


def _first_cells(table: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)`", table, flags=re.MULTILINE))


def test_every_command_is_in_the_readme_and_no_other() -> None:
    assert _first_cells(_section(README, "Commands")) == set(_commands())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_command_that_is_not_there(document: Path) -> None:
    parts = {part for name in _commands() for part in _beginnings(name)}
    groups = parts - _commands().keys()
    called = re.findall(r"(?:`|^|exec [a-z-]+ )(cubic [a-z]+)(?: ([a-z]+))?", document.read_text("utf-8"), re.MULTILINE)
    named = {f"{first} {second}" if first in groups and second else first for first, second in called}

    assert named - parts == set()


def _beginnings(command: str) -> list[str]:
    """Return a command and the groups that it is in: ``cubic db upgrade`` and ``cubic db``."""
    words = command.split()
    return [" ".join(words[:n]) for n in range(2, len(words) + 1)]


def test_every_option_is_told_beside_its_command() -> None:
    rows = {row.split("`")[1]: row for row in _section(README, "Commands").splitlines() if row.startswith("| `cubic")}
    untold = [
        f"{name} {option}"
        for name, command in _commands().items()
        for parameter in command.params
        for option in [*parameter.opts, *parameter.secondary_opts]
        if option.startswith("--") and option != "--help" and f"`{option}" not in rows[name]
    ]

    assert untold == []


def test_every_setting_is_in_the_readme_and_no_other() -> None:
    assert _first_cells(_section(README, "Settings")) == SETTINGS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_setting_that_is_not_there(document: Path) -> None:
    named = set(re.findall(r"\bCUBIC_[A-Z_]*[A-Z]\b", document.read_text(encoding="utf-8")))

    assert named - SETTINGS == set()


def test_every_status_is_in_the_glossary_and_the_runbook() -> None:
    statuses = {status.value for status in LoadStatus}

    assert _first_cells(_section(RUNBOOK, "By status")) == statuses
    assert {status for status in statuses if f"`{status}`" not in CONTEXT} == set()


def test_every_error_code_is_in_the_runbook_and_no_other() -> None:
    assert _first_cells(_section(RUNBOOK, "By error code")) == _raised_codes()
    assert {code.value for code in ErrorCode} == _raised_codes()


def test_every_audit_finding_is_in_the_runbook_and_no_other() -> None:
    assert _first_cells(_section(RUNBOOK, "By audit finding")) == {code.value for code in FindingCode}


def test_every_problem_is_in_the_runbook_and_the_probes_page_and_no_other() -> None:
    codes = {code.value for code in ProblemCode}

    assert _first_cells(_section(RUNBOOK, "By problem")) == codes
    assert codes <= _first_cells(_section(OBSERVABILITY, "The probe"))


def test_every_field_of_a_declaration_is_in_the_guide() -> None:
    told = set(re.findall(r"`([a-z_]+)`", _section(CONTRIBUTING, "Add a table"))) | {"columns"}

    assert {field.name for field in fields(Table)} - told == {"base"}  # which is not declared, but follows


def test_every_error_that_people_meet_is_in_the_runbook() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    kinds = [kind for kind in kinds if not kind.__subclasses__()]

    assert {kind.__name__ for kind in kinds if f"`{kind.__name__}`" not in RUNBOOK} == set()


def test_every_make_target_is_in_the_readme_and_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z0-9]+):.*## ", makefile, flags=re.MULTILINE)

    assert _first_cells(_section(README, "Make targets")) == {f"make {target}" for target in targets}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = [link for link in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]

    assert [link for link in targets if not _is_there(document, link)] == []


def test_every_decision_is_numbered_without_a_gap_and_tells_what_was_weighed() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))

    assert [path.name[:5] for path in decisions] == [f"{number:04}-" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        headings = re.findall(r"^## .*", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert headings == list(HEADINGS_OF_A_DECISION), path.name


def _is_there(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
