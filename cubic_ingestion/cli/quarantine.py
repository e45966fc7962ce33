"""``cubic quarantine``: records with a value that does not fit its type."""

from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, print_json, print_json_list, print_rows, say
from cubic_ingestion.cli.platforms import existing_platform

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cubic_ingestion.domain.load import Load
    from cubic_ingestion.pipeline.ingestion_platform import Platform

_PAGE_LOADS = 5_000

quarantine = typer.Typer(
    name="quarantine", help="Records with a value that does not fit its column's type.", no_args_is_help=True
)

Tables = Annotated[list[str] | None, typer.Option("--table", help="Only this table; may be repeated.")]


@quarantine.command("list")
def list_quarantine(context: typer.Context, *, table: Tables = None, as_json: AsJson = False) -> None:
    """List the loads with records in quarantine, oldest first.

    Example: `cubic quarantine list --json`
    """
    platform = existing_platform(context)
    rows = (_row(platform, load) for load in _loads(platform, table))
    if as_json:
        print_json_list(rows)
    else:
        print_rows(rows, empty="Nothing is in quarantine.")


@quarantine.command()
def replay(context: typer.Context, *, table: Tables = None, as_json: AsJson = False) -> None:
    """Read the loads with records in quarantine again, with today's declarations; what fits now joins its table.

    The partitions they belong to are ingested again from Archive through Dagster. Doing it twice changes nothing.

    Exit code 0 if nothing is left in quarantine, 1 if something is, 2 if it could not run.

    Example: `cubic quarantine replay --table cubic__dmap__agg_sample`
    """
    from cubic_ingestion.defs import build_definitions
    from cubic_ingestion.defs.headless import replay_partitions
    from cubic_ingestion.defs.instance import dagster_instance
    from cubic_ingestion.settings import read_settings

    platform = existing_platform(context)
    before = list(_loads(platform, table))
    failures: list[str] = []
    if before:
        settings = read_settings()
        definitions = build_definitions(platform.tables, lambda: platform, settings.dmap_fetch_at)
        with dagster_instance(settings) as instance:
            for name in sorted({load.table for load in before}):
                keys = sorted({load.partition_key for load in before if load.table == name and load.partition_key})
                failures += replay_partitions(definitions, instance, platform, platform.tables[name], keys)
    rows = [_outcome(platform, load) for load in before]
    if as_json:
        print_json({"loads": rows, "failures": failures})
    else:
        say(*failures, style="red")
        print_rows(rows, empty="Nothing is in quarantine.")
    if failures or any(row["quarantined"] for row in rows):
        raise typer.Exit(2 if failures else 1)


def _loads(platform: "Platform", names: list[str] | None) -> "Iterator[Load]":
    if unknown := [name for name in names or () if name not in platform.tables]:
        raise typer.BadParameter(f"no such table: {', '.join(unknown)}; 'cubic tables list' shows them")
    return (load for page in quarantined_pages(platform, names) for load in page if load.table in platform.tables)


def quarantined_pages(platform: "Platform", names: list[str] | None) -> "Iterator[Sequence[Load]]":
    """Yield the loads with records in quarantine, oldest first, page by page."""
    last = 0
    while page := platform.ledger.trouble.quarantined(names, after=last, limit=_PAGE_LOADS):
        yield page
        last = page[-1].id


def _row(platform: "Platform", load: "Load") -> dict[str, object]:
    from cubic_ingestion.domain.layout import quarantine_key

    key = quarantine_key(platform.tables[load.table], load.location or "")
    return {
        "load": load.id,
        "table": load.table,
        "file": load.version.file_name,
        "partition": load.partition_key,
        "written": load.n_rows,
        "quarantined": load.n_quarantined,
        "parquet": platform.stores.springboard.uri(key),
    }


def _outcome(platform: "Platform", before: "Load") -> dict[str, object]:
    after = platform.ledger.queries.load(before.id) or before
    return {
        "load": after.id,
        "table": after.table,
        "file": after.version.file_name,
        "was_quarantined": before.n_quarantined,
        "written": after.n_rows,
        "quarantined": after.n_quarantined,
    }
