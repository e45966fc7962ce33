"""``cubic loads``: the loads, one load's whole story, and another try for errored ones."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, print_facts, print_json, print_json_list, print_places, print_rows, warn
from cubic_ingestion.domain.status import LoadStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cubic_ingestion.domain.load import Load
    from cubic_ingestion.ports import Platform

_MOST = 2**63 - 1
"""The largest whole number that a database takes."""

_PAGE_LOADS = 5_000

loads = typer.Typer(name="loads", help="The loads: one version of one file each.", no_args_is_help=True)


@loads.command("list")
def list_loads(
    *,
    table: Annotated[list[str] | None, typer.Option(help="Only this table; may be repeated.")] = None,
    status: Annotated[list[LoadStatus] | None, typer.Option(help="Only this status; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List loads, newest first.

    Example: `cubic loads list --status errored --limit 10`
    """
    from cubic_ingestion.bootstrap import existing_platform

    platform = existing_platform()
    check_tables(platform, table)
    found = _newest(platform, table, status, limit)
    if as_json:
        print_json_list(_story(load) for load in found)
    else:
        print_rows((line(load) for load in found), empty="No such loads.")


def _newest(
    platform: "Platform", tables: list[str] | None, statuses: list[LoadStatus] | None, limit: int
) -> "Iterator[Load]":
    """Yield loads, newest first, page by page: there may be millions."""
    before: int | None = None
    while limit > 0 and (
        page := platform.repository.loads(
            tables=tables, statuses=statuses, limit=min(limit, _PAGE_LOADS), before=before
        )
    ):
        yield from page
        limit -= len(page)
        before = page[-1].id


@loads.command()
def show(
    load_id: Annotated[int, typer.Argument(min=1, max=_MOST, help="The load's id.")], *, as_json: AsJson = False
) -> None:
    """Show all that is known of one load; exit 1 if there is none with this id.

    Example: `cubic loads show 42`
    """
    from cubic_ingestion.bootstrap import existing_platform

    load = existing_platform().repository.load(load_id)
    if load is None:
        warn(f"There is no load {load_id}. 'cubic loads list' shows the newest.")
        print_places(is_error=True)
        raise typer.Exit(1)
    story = _story(load)
    if as_json:
        print_json(story)
    else:
        print_facts(story)


@loads.command()
def retry(
    load_ids: Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="Ids of errored loads.")] = None,
    *,
    table: Annotated[list[str] | None, typer.Option(help="Errored loads of this table; may be repeated.")] = None,
    code: Annotated[list[str] | None, typer.Option(help="Those with this error code; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring errored loads back, by id, or by table, error code or both.

    Their originals are read from Error by the next pass, and go to Archive if it succeeds. Do not copy them to
    Incoming, where a copy would be a load of its own.

    Exit code 1 if a load asked for by id is not errored or cannot be retried.

    Example: `cubic loads retry --table cubic__dmap__agg_sample --code bad_value`
    """
    from cubic_ingestion.bootstrap import existing_platform
    from cubic_ingestion.pipeline.retry import retry as retry_loads

    if bool(load_ids) == bool(table or code):
        raise typer.BadParameter("name either ids, or --table or --code or both")
    platform = existing_platform()
    check_tables(platform, table)
    report = retry_loads(platform, selected(platform, load_ids, table, code))
    refused = without_record(platform, load_ids) | {load.id: reason for load, reason in report.refused}
    if as_json:
        retried = [load.id for load in report.retried]
        print_json({"retried": retried, "refused": [{"id": key, "reason": why} for key, why in refused.items()]})
    else:
        print_rows(
            [line(load) for load in report.retried], title="To be tried again", empty="No load was brought back."
        )
        for load_id, reason in refused.items():
            warn(f"Load {load_id} stays as it is: {reason}.")
    if load_ids and refused:
        raise typer.Exit(1)


def selected(
    platform: "Platform", load_ids: list[int] | None, tables: list[str] | None, codes: list[str] | None
) -> "Sequence[Load]":
    """Find the loads asked for; of those named by table or code only the errored ones are meant."""
    if load_ids:
        return [load for load_id in dict.fromkeys(load_ids) if (load := _load(platform, load_id))]
    errored = platform.repository.loads(tables=tables, statuses=[LoadStatus.ERRORED], limit=_MOST)
    return [load for load in reversed(errored) if not codes or (load.error and load.error.code in codes)]


def without_record(platform: "Platform", load_ids: list[int] | None) -> dict[int, str]:
    """Word that there are no loads with some of these ids."""
    missing = [load_id for load_id in load_ids or () if _load(platform, load_id) is None]
    return dict.fromkeys(missing, "there is no load with this id")


def _load(platform: "Platform", load_id: int) -> "Load | None":
    return platform.repository.load(load_id) if 0 < load_id <= _MOST else None


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
        "reason": _holder(load) or (load.error.code if load.error else load.waits_for) or "",
    }


def _holder(load: "Load") -> str:
    """Say who holds a load, and until when."""
    if load.claimed_by is None or load.claim_expires_at is None:
        return ""
    return f"held by run {load.claimed_by.partition('/')[0]} until {load.claim_expires_at:%Y-%m-%d %H:%M:%S}"


def _story(load: "Load") -> dict[str, object]:
    story = asdict(load)
    version, error = story.pop("version"), story.pop("error") or {}
    return story | version | {f"error_{name}": value for name, value in error.items()}
