"""``cubic dmap``: the fetcher, which brings the vendor's data sets to Incoming."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, print_json, print_rows, say, warn
from cubic_ingestion.cli.platforms import existing_platform, the_platform

if TYPE_CHECKING:
    from cubic_ingestion.domain.feed import Feed
    from cubic_ingestion.pipeline.dmap import Fetcher, FetchReport
    from cubic_ingestion.settings import Settings

dmap = typer.Typer(name="dmap", help="The DMAP fetcher.", no_args_is_help=True)

Feeds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FEED]...", help="Feeds, as 'cubic dmap list' names them; all if left out."),
]
Since = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="List what was updated from this day on, instead of what is due."),
]


@dmap.command("list")
def list_feeds(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the declared feeds: up to when each is fetched, and what is missing.

    Example: `cubic dmap list --json`
    """
    from cubic_ingestion.bootstrap import declared_tables
    from cubic_ingestion.domain.feed import feeds_of

    progress = {known.relative_url: known for known in existing_platform(context).ledger.feeds.progress()}
    rows: list[dict[str, object]] = []
    for feed in feeds_of(declared_tables().values()):
        known = progress.get(feed.relative_url)
        rows.append(
            {
                "feed": feed.type,
                "key": feed.api_key.value,
                "data_sets": known.n_datasets if known else 0,
                "complete_until": known.last_updated_at if known else None,
                "fetched_at": known.fetched_at if known else None,
                "problems": known.n_problems if known else 0,
                "first_problem": known.problem if known else None,
            }
        )
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty="No table declares a feed.")


@dmap.command()
def fetch(context: typer.Context, feeds: Feeds = None, *, since: Since = None, as_json: AsJson = False) -> None:
    """Bring what is new in the vendor's feeds to Incoming: each version of a data set once.

    Exit code 0 if everything on offer is there, 1 if something could not be had (it is asked for again by the next
    fetch), 2 if it could not run.

    Example: `cubic dmap fetch agg_daily_fareprod --since 2024-01-01`
    """
    from cubic_ingestion.bootstrap import open_fetcher
    from cubic_ingestion.defs.dmap import report_fetch
    from cubic_ingestion.defs.instance import dagster_instance
    from cubic_ingestion.settings import read_settings

    settings = read_settings()
    platform = the_platform(context)
    day = since.date() if since else None
    reports: list[FetchReport] = []
    with open_fetcher(settings, platform) as fetcher, dagster_instance(settings) as instance:
        for feed in _chosen(settings, feeds or ()):
            report, has_failed = _fetch(fetcher, feed, day)
            report_fetch(instance, report, has_failed=has_failed)
            reports.append(report)
    if as_json:
        print_json([_row(report) | {"problems": report.problems} for report in reports])
    else:
        _print(reports)
    raise typer.Exit(1 if any(report.problems for report in reports) else 0)


def _chosen(settings: "Settings", types: Collection[str]) -> list["Feed"]:
    """Return the feeds that are meant; those without a key are left out, or are an error if they are named."""
    from cubic_ingestion.bootstrap import declared_tables, missing_key
    from cubic_ingestion.domain.feed import feeds_of

    feeds = {feed.type: feed for feed in feeds_of(declared_tables().values())}
    if unknown := [name for name in types if name not in feeds]:
        raise typer.BadParameter(f"no such feed: {', '.join(unknown)}; 'cubic dmap list' shows them")
    chosen = [feeds[name] for name in types or feeds]
    for key in sorted({feed.api_key for feed in chosen} - settings.dmap_api_keys.keys()):
        if types:
            raise missing_key(key)
        warn(f"Left out, the feeds below '{key.path}': {missing_key(key)}")
    return [feed for feed in chosen if feed.api_key in settings.dmap_api_keys]


def _fetch(fetcher: "Fetcher", feed: "Feed", since: date | None) -> "tuple[FetchReport, bool]":
    """Fetch one feed, and say whether it could not be read; trouble with it does not stop the others."""
    from cubic_ingestion.errors import CubicIngestionError
    from cubic_ingestion.pipeline.dmap import FetchReport

    try:
        return fetcher.fetch(feed, since), False
    except CubicIngestionError as error:
        return FetchReport(feed, problems=[str(error)]), True


def _row(report: "FetchReport") -> dict[str, object]:
    return {
        "feed": report.feed.type,
        "listed": report.n_listed,
        "fetched": len(report.fetched),
        "waiting": len(report.waiting),
        "complete_until": report.last_updated_at,
    }


def _print(reports: Sequence["FetchReport"]) -> None:
    print_rows([_row(report) | {"problems": len(report.problems)} for report in reports], empty="Nothing to fetch.")
    for report in reports:
        if report.is_held_elsewhere:
            say(f"{report.feed.type}: left to another fetcher, which is at it.")
        for problem in report.problems:
            say(f"{report.feed.type}: {problem}")
