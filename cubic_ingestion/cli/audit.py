"""``cubic audit``: the proof that everything is accounted for."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from cubic_ingestion.cli.output import AsJson, console, print_json, print_rows

if TYPE_CHECKING:
    from cubic_ingestion.pipeline.audit import Audit, Finding


def audit(*, as_json: AsJson = False) -> None:
    """Prove that every object belongs to one load, and every load has its original and its rows; nothing is changed.

    Exit code 0 if everything is accounted for, 1 if something is not, 2 if it could not run.

    Example: `cubic audit --json`
    """
    from cubic_ingestion.bootstrap import platform_from_environment
    from cubic_ingestion.pipeline.audit import audit as run_audit

    platform = platform_from_environment()
    with _progress() as tell:
        done = run_audit(platform, tell)
    if as_json:
        findings = [asdict(finding) | {"remedy": finding.remedy} for finding in done.findings]
        print_json({"findings": findings, "notes": done.notes, "proved": done.proved})
    else:
        _print(done)
    if done.findings:
        raise typer.Exit(1)


def _print(done: "Audit") -> None:
    print_rows([_row(finding) for finding in done.findings], empty="Everything is accounted for.")
    for note in done.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    counts = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in done.proved.items())
    console.print(f"Looked at: {counts}. Findings: {len(done.findings):,}.", highlight=False, soft_wrap=True)


def _row(finding: "Finding") -> dict[str, object]:
    return {
        "code": finding.code.value,
        "load": "" if finding.load_id is None else str(finding.load_id),
        "key": f"{finding.zone}: {finding.key}",
        "what": finding.problem,
        "remedy": finding.remedy,
    }


@contextmanager
def _progress() -> Generator[Callable[[str, int], None]]:
    """Show what is being looked at, and how many were."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f}"))
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, n: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=None)
            progress.advance(tasks[what], n)

        yield tell
