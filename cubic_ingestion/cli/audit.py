"""``cubic audit``: the proof that everything is accounted for."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from cubic_ingestion.cli.output import AsJson, console, json_text, print_places, say, warn, write
from cubic_ingestion.cli.platforms import existing_platform
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.outside_text import visible_name

if TYPE_CHECKING:
    from cubic_ingestion.pipeline.audit import Audit, Check, Finding


_OPENING = '{"findings": ['

Fold = Annotated[bool, typer.Option("--fold", help="Also fold each '__current' again, and compare all rows.")]


def audit(context: typer.Context, *, fold: Fold = False, as_json: AsJson = False) -> None:
    """Prove that every object belongs to one load, and every load has its original and its rows; nothing is changed.

    The catalog, the products with their files, and Dagster are compared too; Dagster if `DAGSTER_HOME` or the home has
    an instance. With `--fold`, each `__current` is folded again by other means, row by row, and all rows are compared;
    that reads everything that was folded, and takes its time.

    Exit code 0 if everything is accounted for, 1 if something is not, 2 if it could not run.

    Example: `cubic audit --json`
    """
    from cubic_ingestion.defs.instance import existing_instance
    from cubic_ingestion.defs.shown import DagsterCheck
    from cubic_ingestion.pipeline.audit import audit as run_audit
    from cubic_ingestion.products.proof import FoldCheck
    from cubic_ingestion.settings import read_settings

    platform = existing_platform(context)
    told = _Json() if as_json else _Lines()
    with existing_instance(read_settings()) as instance, _progress() as tell:
        folds = [FoldCheck(platform)] if fold else []
        further: list[Check] = [*folds, *([DagsterCheck(platform, instance)] if instance else [])]
        done = run_audit(platform, tell, told.take, further)
    done.n_folded_rows = folds[0].n_rows if folds else None
    told.end(done)
    if instance is None:
        warn("Dagster was not compared: no instance has been used from here. DAGSTER_HOME names another one.")
    if not any(done.proved.values()):
        print_places(is_error=as_json)
    if done.n_findings:
        raise typer.Exit(1)


class _Json:
    """Prints one JSON object while it comes to be: whatever is found, nothing of it is kept."""

    def __init__(self) -> None:
        self._n_told = 0

    def take(self, finding: "Finding") -> None:
        """Print one of the list of findings."""
        told = json_text(asdict(finding) | {"remedy": finding.remedy})
        write(f"{',' if self._n_told else _OPENING}\n{told}")
        self._n_told += 1

    def end(self, done: "Audit") -> None:
        """Print the end of the list, and what goes with it."""
        rest = json_text({"pending": done.pending, "notes": done.notes, "proved": done.proved}, indent=2)
        write(("" if self._n_told else _OPENING) + "]," + rest.removeprefix("{") + "\n")


class _Lines:
    """Prints what people read, each finding as soon as it is known."""

    def take(self, finding: "Finding") -> None:
        """Print one finding."""
        load = "" if finding.load_id is None else f", load {finding.load_id}"
        say(
            f"{finding.code.value}{load}, {finding.zone}: {visible_name(finding.key)}",
            f"    {finding.problem} {finding.remedy}",
        )

    def end(self, done: "Audit") -> None:
        """Print the summary."""
        if not done.n_findings:
            say("Everything is accounted for.")
        say(*done.pending, *done.notes)
        proved = {what.replace("_", " "): n for what, n in done.proved.items()}
        counts = ", ".join(counted(n, several.removesuffix("s"), several) for several, n in proved.items())
        say(f"Looked at: {counts}. Findings: {done.n_findings:,}.")


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
