"""``cubic ingest``: what is in Incoming now, without sensors or a daemon."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cubic_ingestion.cli.output import AsJson, console, print_json, print_places, print_rows, say
from cubic_ingestion.domain.status import LoadStatus

if TYPE_CHECKING:
    from cubic_ingestion.ports import Platform

_ENDED = (LoadStatus.ARCHIVED, LoadStatus.ERRORED)
_POLL_SECONDS = 0.5


def ingest(*, as_json: AsJson = False) -> None:
    """Ingest what is in Incoming now, through Dagster; then print what became of it.

    Streams take turns. Files that arrive meanwhile may be ingested too, but do not prolong the command.

    Exit code 0 if all went well, 1 if a load ended in Error, 2 if it could not run.

    Example: `cubic ingest --json`
    """
    from cubic_ingestion.bootstrap import platform_from_environment
    from cubic_ingestion.defs import build_definitions
    from cubic_ingestion.defs.headless import ingest_incoming
    from cubic_ingestion.defs.instance import dagster_instance
    from cubic_ingestion.settings import read_settings

    settings = read_settings()
    platform = platform_from_environment()  # the very one that the assets get
    before = _counts(platform)
    with dagster_instance(settings) as instance, _progress(platform, before):
        failures = ingest_incoming(build_definitions(platform.tables), instance, platform)
    summary = _summary(platform, before)
    if as_json:
        print_json({"tables": summary, "failures": failures})
        if not summary:
            print_places(is_error=True)
    else:
        _print_summary(platform, summary, failures)
    if failures:
        raise typer.Exit(2)
    if any(row["errored"] for row in summary):
        raise typer.Exit(1)


@contextmanager
def _progress(platform: "Platform", before: dict[tuple[str, LoadStatus], tuple[int, int]]) -> Generator[None]:
    """Show loads done of loads known while the work goes on."""
    columns = (SpinnerColumn(), TextColumn("loads"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    stop = threading.Event()
    ended_before = _ended(before)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("loads", total=None)

        def follow() -> None:
            pause = _POLL_SECONDS
            while not stop.wait(pause):
                started = monotonic()
                counts = _counts(platform)
                pause = max(_POLL_SECONDS, 20 * (monotonic() - started))  # among millions of loads it takes its time
                total = sum(n_loads for n_loads, _ in counts.values()) - ended_before
                progress.update(task, total=total or None, completed=_ended(counts) - ended_before)

        follower = threading.Thread(target=follow, daemon=True)
        if console.is_terminal:
            follower.start()
        try:
            yield
        finally:
            stop.set()
            if follower.is_alive():
                follower.join()


def _counts(platform: "Platform") -> dict[tuple[str, LoadStatus], tuple[int, int]]:
    """Return loads and rows by table and status."""
    return {(count.table, count.status): (count.n_loads, count.n_rows) for count in platform.repository.status_counts()}


def _ended(counts: dict[tuple[str, LoadStatus], tuple[int, int]]) -> int:
    return sum(n_loads for (_, status), (n_loads, _) in counts.items() if status in _ENDED)


def _summary(platform: "Platform", before: dict[tuple[str, LoadStatus], tuple[int, int]]) -> list[dict[str, object]]:
    """Compare with how things stood before; one row a table in which something changed or waits."""
    after = _counts(platform)
    rows: list[dict[str, object]] = []
    for name in sorted({table for table, _ in after}):
        archived, errored = (_gain(before, after, name, status) for status in _ENDED)
        waiting = sum(n for (table, status), (n, _) in after.items() if table == name and status not in _ENDED)
        if archived[0] or errored[0] or waiting:
            rows.append(
                {
                    "table": name,
                    "loads": archived[0],
                    "rows": archived[1],
                    "errored": errored[0],
                    "waiting": waiting,
                    "parquet": _location(platform, name),
                }
            )
    return rows


def _gain(
    before: dict[tuple[str, LoadStatus], tuple[int, int]],
    after: dict[tuple[str, LoadStatus], tuple[int, int]],
    table: str,
    status: LoadStatus,
) -> tuple[int, int]:
    n_before, rows_before = before.get((table, status), (0, 0))
    n_after, rows_after = after.get((table, status), (0, 0))
    return n_after - n_before, rows_after - rows_before


def _location(platform: "Platform", name: str) -> str:
    from cubic_ingestion.domain.layout import springboard_prefix

    table = platform.tables.get(name)
    return platform.stores.springboard.uri(springboard_prefix(table)) if table else ""


def _print_summary(platform: "Platform", summary: list[dict[str, object]], failures: list[str]) -> None:
    say(*failures, style="red")
    print_rows(summary, title="Ingested", empty="Nothing new in Incoming.")
    if any(row["errored"] for row in summary):
        say("See why: cubic loads list --status errored")
    if any(row["waiting"] for row in summary):
        say("See what they wait for: cubic loads list --status ready")
    for behind in platform.repository.catalog_backlog():
        if behind.error:
            say(f"Not in the catalog yet: {behind.table}: {behind.error}")
    queryable = next((platform.tables[str(row["table"])] for row in summary if row["loads"]), None)
    if queryable:
        say("", "A query to try:", f"  {platform.catalog.query(queryable)}")
    say("", "The web UI: make dev, then http://127.0.0.1:3000")
