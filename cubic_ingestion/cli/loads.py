"""``cubic loads``: the loads, one load's whole story, and another try for errored ones."""

from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, print_facts, print_json, print_json_list, print_places, print_rows, warn
from cubic_ingestion.cli.platforms import existing_platform
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cubic_ingestion.domain.load import Load
    from cubic_ingestion.pipeline.ingestion_platform import Platform

_MOST = 2**63 - 1
"""The largest whole number that a database takes."""

_PAGE_LOADS = 5_000

Codes = Annotated[
    list[ErrorCode] | None,
    typer.Option(metavar="CODE", help="Those with this error code, as in the runbook; may be repeated."),
]

loads = typer.Typer(name="loads", help="The loads: one version of one file each.", no_args_is_help=True)


@loads.command("list")
def list_loads(
    context: typer.Context,
    *,
    table: Annotated[list[str] | None, typer.Option(help="Only this table; may be repeated.")] = None,
    status: Annotated[list[LoadStatus] | None, typer.Option(help="Only this status; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List loads, newest first.

    Example: `cubic loads list --status errored --limit 10`
    """
    platform = existing_platform(context)
    check_tables(platform, table)
    found = chain.from_iterable(load_pages(platform, table, status, limit))
    if as_json:
        print_json_list(_story(load) for load in found)
    else:
        print_rows((line(load) for load in found), empty="No such loads.")


def load_pages(
    platform: "Platform", tables: list[str] | None, statuses: list[LoadStatus] | None, limit: int = _MOST
) -> "Iterator[Sequence[Load]]":
    """Yield loads, newest first, page by page: there may be millions."""
    before: int | None = None
    while limit > 0 and (
        page := platform.ledger.queries.loads(
            tables=tables, statuses=statuses, limit=min(limit, _PAGE_LOADS), before=before
        )
    ):
        yield page
        limit -= len(page)
        before = page[-1].id


@loads.command()
def show(
    context: typer.Context,
    load_id: Annotated[int, typer.Argument(min=1, max=_MOST, help="The load's id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one load; exit 1 if there is none with this id.

    Example: `cubic loads show 42`
    """
    load = existing_platform(context).ledger.queries.load(load_id)
    if load is None:
        warn(f"There is no load {load_id}. 'cubic loads list' shows the newest.")
        print_places(is_error=True)
        raise typer.Exit(1)
    story = _story(load)
    if as_json:
        print_json(story)
    else:
        print_facts(story)


def one_load(platform: "Platform", load_id: int) -> "Load | None":
    """Look a load up; None if there is none, or cannot be any, with this id."""
    return platform.ledger.queries.load(load_id) if 0 < load_id <= _MOST else None


def check_tables(platform: "Platform", names: list[str] | None) -> None:
    """Refuse names of tables that are not declared."""
    if unknown := [name for name in names or () if name not in platform.tables]:
        raise typer.BadParameter(f"no such table: {', '.join(unknown)}; 'cubic tables list' shows them")


def line(load: "Load") -> dict[str, object]:
    """Return what a table of loads shows of one."""
    return {
        "id": load.id,
        "table": load.table,
        "file": load.version.file_name,
        "status": load.status.value,
        "partition": load.partition_key or "",
        "rows": load.n_rows,
        "reason": _holder(load) or _reason(load),
    }


def _holder(load: "Load") -> str:
    """Say who holds a load, and until when."""
    if load.claimed_by is None or load.claim_expires_at is None:
        return ""
    return f"held by run {load.claimed_by.partition('/')[0]} until {load.claim_expires_at:%Y-%m-%d %H:%M:%S}"


def _reason(load: "Load") -> str:
    """Say why a load was rejected, and why its original is not in Error if it should be there."""
    code, waits_for = load.error.code if load.error else "", load.waits_for or ""
    if load.status is LoadStatus.READY_FOR_ERRORING:
        return f"{code}, not in Error yet" + (f": {waits_for}" if waits_for else "")
    return code or waits_for


def _story(load: "Load") -> dict[str, object]:
    story = asdict(load)
    version, error = story.pop("version"), story.pop("error") or {}
    return story | version | {f"error_{name}": value for name, value in error.items()}
