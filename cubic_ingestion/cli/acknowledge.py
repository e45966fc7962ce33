"""``cubic loads acknowledge``: somebody knows of rejected loads, and says why nothing needs to be done."""

import getpass
import socket
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.changed_loads import print_outcomes, selected, unknown
from cubic_ingestion.cli.loads import Codes, check_tables
from cubic_ingestion.cli.output import AsJson
from cubic_ingestion.cli.platforms import existing_platform
from cubic_ingestion.cli.quarantine import quarantined_pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cubic_ingestion.cli.changed_loads import Outcome
    from cubic_ingestion.domain.load import Load
    from cubic_ingestion.pipeline.ingestion_platform import Platform


def acknowledge(
    context: typer.Context,
    load_ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]...", help="Ids of errored or quarantined loads.")
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why nobody needs to act; people will read it.")],
    by: Annotated[str, typer.Option(help="Who says so; user and host if not given.")] = "",
    table: Annotated[list[str] | None, typer.Option(help="All open loads of this table; may be repeated.")] = None,
    code: Codes = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge errored loads, and loads with records in quarantine: they are no problem any more.

    They stay where they are, and can still be retried. Another rejection is a problem again. A load that was
    acknowledged before keeps its first acknowledgement, which the command prints.

    Exit code 1 if a load asked for by id has nothing to acknowledge, or was acknowledged before.

    Example: `cubic loads acknowledge 17 --reason "The vendor sends it again tomorrow."`
    """
    from cubic_ingestion.pipeline.acknowledge import acknowledge as acknowledge_loads

    if bool(load_ids) == bool(table or code):
        raise typer.BadParameter("name either ids, or --table or --code or both")
    if not reason.strip():
        raise typer.BadParameter("give a reason that others understand", param_hint="--reason")
    platform = existing_platform(context)
    check_tables(platform, table)
    who = by or f"{getpass.getuser()}@{socket.gethostname()}"

    def outcomes() -> "Iterator[Outcome]":
        for page in _chosen(platform, load_ids, table, code):
            report = acknowledge_loads(platform, page, who, reason)
            yield report.acknowledged, [(load.id, why) for load, why in report.refused]
        yield [], unknown(platform, load_ids)

    n_refused = print_outcomes(
        outcomes(), "acknowledged", title="Acknowledged", empty="No load was acknowledged.", as_json=as_json
    )
    if load_ids and n_refused:
        raise typer.Exit(1)


def _chosen(
    platform: "Platform", load_ids: list[int] | None, tables: list[str] | None, codes: "Sequence[str] | None"
) -> "Iterator[Sequence[Load]]":
    """Yield the loads asked for by id; or else those of the tables and codes that nobody has acknowledged."""
    if load_ids:
        yield from selected(platform, load_ids, tables, codes)
        return
    quarantined = () if codes else quarantined_pages(platform, tables)
    for page in chain(selected(platform, None, tables, codes), quarantined):
        yield [load for load in page if load.acknowledged_at is None]
