"""``cubic products``: the tables that people query: how far each is, building one anew, and which snapshot it shows."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, print_json, print_rows, warn
from cubic_ingestion.cli.platforms import existing_platform
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import Product, ProductKind, products_of

if TYPE_CHECKING:
    from cubic_ingestion.pipeline.ingestion_platform import Platform

products = typer.Typer(name="products", help="The tables that people query.", no_args_is_help=True)

Table = Annotated[str, typer.Argument(metavar="TABLE", help="Name of the product, or of the table it is made of.")]


@products.command("list")
def list_products(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the products: what each holds, what is on its way to it, and what its last merge cost.

    Example: `cubic products list --json`
    """
    rows = product_rows(existing_platform(context))
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty="No product has any rows yet. 'cubic ingest' makes them.")


@products.command()
def show(context: typer.Context, table: Table, *, as_json: AsJson = False) -> None:
    """Show one product: its files, its snapshots, and whether it holds all that stands in Springboard.

    Exit code 0 if it does, 1 if it does not, 2 if it could not run.

    Example: `cubic products show cubic__ods_qlik__edw_sample__changes`
    """
    from cubic_ingestion.products.checks import completeness, current_facts

    platform = existing_platform(context)
    product = _named(platform, table)
    stored, found = platform.warehouse.open(product.name), completeness(platform, product)
    (row,) = product_rows(platform, product) or [{"product": product.name, "table": product.source.name}]
    facts = {**row, "waiting": found.n_waiting, "lacking": found.n_lacking, "left_over": found.n_left_over}
    refused: list[dict[str, object]] = []
    if product.kind is ProductKind.CURRENT:
        current = current_facts(platform, product)
        facts |= {"key": ", ".join(current.key), "orphans": current.n_orphans, "incomplete": current.lacking}
        facts |= {"duplicate_keys": current.n_duplicate_keys}
        refused = [{"load": load_id, "reason": why} for load_id, why in current.refused.items()]
    snapshots = [
        {"id": str(each.id), "committed": each.committed_at, **each.properties}
        for each in (stored.snapshots() if stored else ())
    ]
    if as_json:
        print_json({**facts, "left_out": refused, "snapshots": snapshots})
    else:
        print_rows([{"": name, " ": value} for name, value in facts.items()])
        if refused:
            print_rows(refused, title="Loads whose changes are not applied")
        print_rows(snapshots, title="Snapshots", empty="It has no snapshot yet.")
    if not found.is_complete:
        raise typer.Exit(1)


@products.command()
def rebuild(context: typer.Context, table: Table, *, as_json: AsJson = False) -> None:
    """Build a product anew from Springboard, beside what it is; one commit replaces it.

    Exit code 0 if it was built, 2 if it could not run.

    Example: `cubic products rebuild cubic__ods_qlik__edw_sample__changes`
    """
    from uuid import uuid4

    from cubic_ingestion.products.update import rebuild_product

    platform = existing_platform(context)
    product = _named(platform, table)
    rebuild_product(platform, product, run_id=str(uuid4()))
    rows = product_rows(platform, product)
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty=f"Nothing of '{product.source.name}' stands in Springboard.")


@products.command()
def switch(
    context: typer.Context,
    table: Table,
    to: Annotated[str, typer.Option("--to", metavar="SNAPSHOT", help="The snapshot to show, older or newer.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show another snapshot of a table in its `__current`; only one that is newer than all there are replaces it.

    Exit code 0 if it was switched, 2 if it could not run.

    Example: `cubic products switch cubic__ods_qlik__edw_sample --to 20220301T000000Z`
    """
    from uuid import uuid4

    from cubic_ingestion.products.update import made_of, update_products

    platform = existing_platform(context)
    product = _named(platform, table)
    base = product.source.name
    if product.kind is not ProductKind.CURRENT:
        raise typer.BadParameter(f"'{product.name}' holds all snapshots; only a '__current' shows a single one")
    generations = platform.ledger.generations.newer(base, "")
    known = [each.id for each in generations if each.has_rows]
    if to not in known:
        there_are = f"it has {', '.join(known)}" if known else "it has none with rows in Springboard yet"
        raise typer.BadParameter(f"'{base}' has no snapshot {to}; {there_are}")
    if not platform.ledger.products.switch(base, to, generations[-1].id):
        raise typer.BadParameter(f"'{product.name}' is not built yet; 'cubic ingest' builds it")
    platform.ledger.deliveries[Consumer.PRODUCTS].refresh([base])
    report = update_products(platform, [base, *made_of(platform, base)], run_id=str(uuid4()))
    rows = product_rows(platform, product)
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)
    if report.refused:
        warn(f"'{product.name}' will show snapshot {to} at its next update.")


def product_rows(platform: "Platform", product: Product | None = None) -> list[dict[str, object]]:
    """Describe products, one or all, by name; what is new to one and not in it yet is among it."""
    from cubic_ingestion.products.generation_facts import why_absent

    known = products_of(platform.tables.values())
    waiting = {each.table: each for each in platform.ledger.deliveries[Consumer.PRODUCTS].backlog()}
    states = {each.table: each for each in platform.ledger.products.states()}
    now = platform.clock.now()
    absent = {
        name: why
        for name, each in known.items()
        if name not in states and (product is None or each == product) and (why := why_absent(platform, each))
    }
    names = [product.source.name] if product else sorted({*waiting, *states, *absent} & known.keys())
    rows: list[dict[str, object]] = []
    for name in names:
        state, behind = states.get(name), waiting.get(name)
        rows.append(
            {
                "product": known[name].name,
                "loads": state.n_loads if state else 0,
                "waiting": behind.n_changes if behind else 0,
                "rows": state.n_rows if state else 0,
                "files": state.n_files if state else 0,
                "bytes": state.n_bytes if state else 0,
                "newest": state and state.newest_at,
                "age": _age(state.newest_at if state else None, now),
                "merged": state and state.merged_at,
                "seconds": state and state.merge_seconds and round(state.merge_seconds, 2),
                "snapshot": state and state.generation,
                "note": absent.get(name) or (behind.error if behind else None),
            }
        )
    return rows


def _age(moment: datetime | None, now: datetime) -> str | None:
    return None if moment is None else str(now - moment).partition(".")[0]


def _named(platform: "Platform", name: str) -> Product:
    known = products_of(platform.tables.values())
    for product in known.values():
        if name in (product.name, product.source.name):
            return product
    raise typer.BadParameter(f"no such product: {name}; 'cubic products list' shows them")
