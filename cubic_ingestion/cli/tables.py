"""``cubic tables``: the declared tables."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, print_json, print_rows, say
from cubic_ingestion.cli.platforms import existing_platform

if TYPE_CHECKING:
    from cubic_ingestion.domain.table import Table

tables = typer.Typer(name="tables", help="The declared tables.", no_args_is_help=True)


@tables.command("list")
def list_tables(*, as_json: AsJson = False) -> None:
    """List the declared tables.

    Example: `cubic tables list --json`
    """
    from cubic_ingestion.bootstrap import declared_tables

    rows = [_row(table) for table in declared_tables().values()]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)


@tables.command()
def check(*, as_json: AsJson = False) -> None:
    """Check all declarations, and name each mistake with its file, line and fix; exit 1 if there is one.

    Example: `CUBIC_TABLES_DIR=tables cubic tables check`
    """
    from cubic_ingestion.bootstrap import check_declarations

    mistakes = [str(mistake) for mistake in check_declarations()]
    if as_json:
        print_json(mistakes)
    else:
        say(*mistakes, "All declarations are sound." if not mistakes else f"Mistakes: {len(mistakes)}.")
    if mistakes:
        raise typer.Exit(1)


@tables.command()
def changes(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="The table's name, as 'cubic tables list' has it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show how a table's columns and its primary key have changed: which file, which column, from what to what.

    Example: `cubic tables changes cubic__ods_qlik__edw_sample`
    """
    from cubic_ingestion.pipeline.schema_changes import changes_between

    platform = existing_platform(context)
    if table not in platform.tables:
        raise typer.BadParameter(f"no such table: {table}; 'cubic tables list' shows them")
    rows = [
        {"load": after.load_id, "file": after.key, **asdict(change)}
        for before, after in platform.ledger.schemas.changes(table)
        for change in changes_between(before, after)
    ]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty="All files had the same columns and the same primary key.")


def _row(table: "Table") -> dict[str, object]:
    return {
        "name": table.name,
        "stream": table.stream.value,
        "prefix": table.prefix,
        "columns": len(table.columns),
        "is_raw": table.is_raw,
        "is_active": table.is_active,
        "on_bad_value": table.on_bad_value.value,
        "on_schema_change": table.on_schema_change.value,
    }
