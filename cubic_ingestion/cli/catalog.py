"""``cubic catalog``: what the catalog does not know yet, and telling it everything again."""

from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, print_json, print_rows, say
from cubic_ingestion.cli.platforms import existing_platform
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.counted import counted

if TYPE_CHECKING:
    from cubic_ingestion.pipeline.ingestion_platform import Platform

catalog = typer.Typer(name="catalog", help="Where people find the tables to query.", no_args_is_help=True)

Tables = Annotated[list[str] | None, typer.Option("--table", help="Only this table; may be repeated.")]


@catalog.command("list")
def list_catalog(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the tables with changes that the catalog does not know yet, and why it refused them last.

    Example: `cubic catalog list --json`
    """
    rows = _rows(existing_platform(context))
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty="The catalog knows everything.")


@catalog.command()
def refresh(context: typer.Context, *, table: Tables = None, as_json: AsJson = False) -> None:
    """Tell the catalog of all tables, partitions and products again: after it was chosen, dropped or changed by hand.

    It is told through Dagster, now; what it refuses stays on record, and is tried again by the sensor. Doing it twice
    changes nothing.

    Exit code 0 if the catalog knows everything, 1 if something still waits, 2 if it could not run.

    Example: `cubic catalog refresh --table cubic__dmap__agg_sample`
    """
    from cubic_ingestion.defs import build_definitions
    from cubic_ingestion.defs.headless import bring_catalog_up_to_date
    from cubic_ingestion.defs.instance import dagster_instance
    from cubic_ingestion.products.showing import show_all
    from cubic_ingestion.settings import read_settings

    platform = existing_platform(context)
    if unknown := [name for name in table or () if name not in platform.tables]:
        raise typer.BadParameter(f"no such table: {', '.join(unknown)}; 'cubic tables list' shows them")
    n_places = platform.ledger.deliveries[Consumer.CATALOG].refresh(table)
    settings = read_settings()
    definitions = build_definitions(platform.tables, lambda: platform, settings.dmap_fetch_at)
    with dagster_instance(settings) as instance:
        failures = bring_catalog_up_to_date(definitions, instance, platform)
    failures += [f"{product}: {reason}" for product, reason in show_all(platform, table).items()]
    rows = _rows(platform)
    if as_json:
        print_json({"partitions": n_places, "waiting": rows, "failures": failures})
    else:
        say(*failures, style="red")
        print_rows(
            rows,
            empty=f"The catalog at {platform.catalog.address} has {counted(n_places, 'partition')}. It lacks none.",
        )
    if failures or rows:
        raise typer.Exit(2 if failures else 1)


def _rows(platform: "Platform") -> list[dict[str, object]]:
    return [
        {
            "table": behind.table,
            "changes": behind.n_changes,
            "oldest": behind.oldest_at,
            "due": behind.due_at,
            "refused": behind.error,
        }
        for behind in platform.ledger.deliveries[Consumer.CATALOG].backlog()
    ]
