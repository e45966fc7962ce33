"""``cubic loads acknowledge``: somebody knows of rejected loads, and says why nothing needs to be done."""

import getpass
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.loads import check_tables, line, selected, without_record
from cubic_ingestion.cli.output import AsJson, print_json, print_rows, warn

if TYPE_CHECKING:
    from cubic_ingestion.domain.load import Load
    from cubic_ingestion.ports import Platform


def acknowledge(
    load_ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]...", help="Ids of errored or quarantined loads.")
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why nobody needs to act; people will read it.")],
    by: Annotated[str, typer.Option(help="Who says so; user and host if not given.")] = "",
    table: Annotated[list[str] | None, typer.Option(help="All open loads of this table; may be repeated.")] = None,
    code: Annotated[list[str] | None, typer.Option(help="Only those with this error code; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge errored loads, and loads with records in quarantine: they are no problem any more.

    They stay where they are, and can still be retried. Another rejection is a problem again.

    Exit code 1 if a load asked for by id has nothing to acknowledge.

    Example: `cubic loads acknowledge 17 --reason "The vendor sends it again tomorrow."`
    """
    from cubic_ingestion.bootstrap import existing_platform
    from cubic_ingestion.pipeline.acknowledge import acknowledge as acknowledge_loads

    if bool(load_ids) == bool(table or code):
        raise typer.BadParameter("name either ids, or --table or --code or both")
    if not reason.strip():
        raise typer.BadParameter("give a reason that others understand", param_hint="--reason")
    platform = existing_platform()
    check_tables(platform, table)
    chosen = [*selected(platform, load_ids, table, code), *([] if load_ids or code else _quarantined(platform, table))]
    if not load_ids:
        chosen = [load for load in chosen if load.acknowledged_at is None]
    report = acknowledge_loads(platform, chosen, by or f"{getpass.getuser()}@{socket.gethostname()}", reason)
    refused = without_record(platform, load_ids) | {load.id: why for load, why in report.refused}
    if as_json:
        acknowledged = [load.id for load in report.acknowledged]
        told = [{"id": load_id, "reason": why} for load_id, why in refused.items()]
        print_json({"acknowledged": acknowledged, "refused": told})
    else:
        rows = [line(load) for load in report.acknowledged]
        print_rows(rows, title="Acknowledged", empty="No load was acknowledged.")
        for load_id, why in refused.items():
            warn(f"Load {load_id} stays as it is: {why}.")
    if load_ids and refused:
        raise typer.Exit(1)


def _quarantined(platform: "Platform", tables: list[str] | None) -> "list[Load]":
    return list(platform.repository.quarantined(tables))
