"""``cubic loads retry``: another try for errored loads."""

from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.changed_loads import print_outcomes, selected, unknown
from cubic_ingestion.cli.loads import Codes, check_tables
from cubic_ingestion.cli.output import AsJson
from cubic_ingestion.cli.platforms import existing_platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubic_ingestion.cli.changed_loads import Outcome


def retry(
    context: typer.Context,
    load_ids: Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="Ids of errored loads.")] = None,
    *,
    table: Annotated[list[str] | None, typer.Option(help="Errored loads of this table; may be repeated.")] = None,
    code: Codes = None,
    as_json: AsJson = False,
) -> None:
    """Bring errored loads back, by id, or by table, error code or both.

    Their originals are read from Error by the next pass, and go to Archive if it succeeds. Do not copy them to
    Incoming, where a copy would be a load of its own.

    Exit code 1 if a load asked for by id is not errored or cannot be retried.

    Example: `cubic loads retry --table cubic__dmap__agg_sample --code bad_value`
    """
    from cubic_ingestion.pipeline.retry import retry as retry_loads

    if bool(load_ids) == bool(table or code):
        raise typer.BadParameter("name either ids, or --table or --code or both")
    platform = existing_platform(context)
    check_tables(platform, table)

    def outcomes() -> "Iterator[Outcome]":
        for page in selected(platform, load_ids, table, code):
            report = retry_loads(platform, page)
            yield report.retried, [(load.id, reason) for load, reason in report.refused]
        yield [], unknown(platform, load_ids)

    n_refused = print_outcomes(
        outcomes(), "retried", title="To be tried again", empty="No load was brought back.", as_json=as_json
    )
    if load_ids and n_refused:
        raise typer.Exit(1)
