"""``cubic tables``: the declared tables."""

from typing import TYPE_CHECKING

import typer

from cubic_ingestion.cli.output import AsJson, console, print_json, print_rows

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
        for mistake in mistakes:
            console.print(mistake, highlight=False, markup=False, soft_wrap=True)
        console.print("All declarations are sound." if not mistakes else f"Mistakes: {len(mistakes)}.")
    if mistakes:
        raise typer.Exit(1)


def _row(table: "Table") -> dict[str, object]:
    return {
        "name": table.name,
        "stream": table.stream.value,
        "prefix": table.prefix,
        "columns": len(table.columns),
        "is_raw": table.is_raw,
        "is_active": table.is_active,
    }
