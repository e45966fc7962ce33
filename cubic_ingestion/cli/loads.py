"""``cubic loads``: the loads, and one load's whole story."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, console, print_json, print_rows
from cubic_ingestion.domain.status import LoadStatus

if TYPE_CHECKING:
    from cubic_ingestion.domain.load import Load

_MOST = 2**63 - 1
"""The largest whole number that a database takes."""

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
    from cubic_ingestion.bootstrap import platform_from_environment

    platform = platform_from_environment()
    if unknown := [name for name in table or () if name not in platform.tables]:
        raise typer.BadParameter(f"no such table: {', '.join(unknown)}; 'cubic tables list' shows them")
    found = platform.repository.loads(tables=table, statuses=status, limit=limit)
    if as_json:
        print_json([_story(load) for load in found])
    else:
        print_rows([_line(load) for load in found], empty="No such loads.")


@loads.command()
def show(
    load_id: Annotated[int, typer.Argument(min=1, max=_MOST, help="The load's id.")], *, as_json: AsJson = False
) -> None:
    """Show all that is known of one load; exit 1 if there is none with this id.

    Example: `cubic loads show 42`
    """
    from cubic_ingestion.bootstrap import platform_from_environment

    load = platform_from_environment().repository.load(load_id)
    if load is None:
        typer.echo(f"There is no load {load_id}. 'cubic loads list' shows the newest.", err=True)
        raise typer.Exit(1)
    story = _story(load)
    if as_json:
        print_json(story)
        return
    for name, value in story.items():
        if value is not None:
            console.print(f"[bold]{name:>17}[/]  ", end="")
            console.print(str(value), highlight=False, markup=False, soft_wrap=True)


def _line(load: "Load") -> dict[str, object]:
    return {
        "id": load.id,
        "table": load.table,
        "file": load.version.file_name,
        "status": load.status.value,
        "partition": load.partition_key or "",
        "rows": load.n_rows,
        "reason": (load.error.code if load.error else load.waits_for) or "",
    }


def _story(load: "Load") -> dict[str, object]:
    story = asdict(load)
    version, error = story.pop("version"), story.pop("error") or {}
    return story | version | {f"error_{name}": value for name, value in error.items()}
