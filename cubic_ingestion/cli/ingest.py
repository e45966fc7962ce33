"""``cubic ingest``: what is in Incoming now, without sensors or a daemon."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cubic_ingestion.cli.ingest_summary import Counts, counts, print_summary, summarise
from cubic_ingestion.cli.output import AsJson, console, print_json, print_places
from cubic_ingestion.cli.platforms import the_platform
from cubic_ingestion.cli.products import product_rows
from cubic_ingestion.domain.status import ENDED

if TYPE_CHECKING:
    from cubic_ingestion.pipeline.ingestion_platform import Platform

_POLL_SECONDS = 0.5


def ingest(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Ingest what is in Incoming now, through Dagster; then print what became of it.

    Streams take turns. Files that arrive meanwhile may be ingested too, but do not prolong the command.

    Exit code 0 if all went well, 1 if a load ended in Error, 2 if it could not run. Loads that another run holds are
    left to that run; the summary names it.

    Example: `cubic ingest --json`
    """
    from cubic_ingestion.defs import build_definitions
    from cubic_ingestion.defs.headless import ingest_incoming
    from cubic_ingestion.defs.instance import dagster_instance
    from cubic_ingestion.errors import StoreUnavailableError
    from cubic_ingestion.pipeline.incoming import require_incoming
    from cubic_ingestion.settings import read_settings

    settings = read_settings()
    platform = the_platform(context)
    with suppress(StoreUnavailableError):  # each stream tells of what may pass
        require_incoming(platform.stores.incoming)
    definitions = build_definitions(platform.tables, lambda: platform, settings.dmap_fetch_at)
    before = counts(platform)
    with dagster_instance(settings) as instance, _progress(platform, before):
        failures = ingest_incoming(definitions, instance, platform)
    summary = summarise(platform, before)
    if as_json:
        held = [asdict(holding) for holding in summary.held]
        report = {"tables": summary.tables, "held": held, "left_alone": summary.n_left_alone, "failures": failures}
        print_json(report | {"products": product_rows(platform)})
        if not summary.tables:
            print_places(is_error=True)
    else:
        print_summary(platform, summary, failures)
    if failures:
        raise typer.Exit(2)
    if summary.has_errored:
        raise typer.Exit(1)


@contextmanager
def _progress(platform: "Platform", before: Counts) -> Generator[None]:
    """Show loads done of loads known while the work goes on."""
    columns = (SpinnerColumn(), TextColumn("loads"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    stop = threading.Event()
    ended_before = _n_ended(before)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("loads", total=None)

        def follow() -> None:
            pause = _POLL_SECONDS
            while not stop.wait(pause):
                started = monotonic()
                now = counts(platform)
                pause = max(_POLL_SECONDS, 20 * (monotonic() - started))  # among millions of loads it takes its time
                total = sum(count.n_loads for count in now.values()) - ended_before
                progress.update(task, total=total or None, completed=_n_ended(now) - ended_before)

        follower = threading.Thread(target=follow, daemon=True)
        if console.is_terminal:
            follower.start()
        try:
            yield
        finally:
            stop.set()
            if follower.is_alive():
                follower.join()


def _n_ended(counts: Counts) -> int:
    return sum(count.n_loads for (_, status), count in counts.items() if status in ENDED)
