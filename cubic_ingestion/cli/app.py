"""The command tree, and what all commands share: exit codes and how errors are shown."""

import gc
import sys
import traceback

import typer
from rich.console import Console
from rich.markup import escape

from cubic_ingestion.cli.acknowledge import acknowledge
from cubic_ingestion.cli.audit import audit
from cubic_ingestion.cli.catalog import catalog
from cubic_ingestion.cli.db import db
from cubic_ingestion.cli.demo import demo
from cubic_ingestion.cli.dmap import dmap
from cubic_ingestion.cli.ingest import ingest
from cubic_ingestion.cli.kafka import kafka
from cubic_ingestion.cli.loads import loads
from cubic_ingestion.cli.metrics import metrics
from cubic_ingestion.cli.products import products
from cubic_ingestion.cli.quarantine import quarantine
from cubic_ingestion.cli.retry import retry
from cubic_ingestion.cli.status import status
from cubic_ingestion.cli.streams import prepare_streams
from cubic_ingestion.cli.tables import tables
from cubic_ingestion.errors import CubicIngestionError, RetriableError
from cubic_ingestion.outside_text import visible_lines

app = typer.Typer(
    name="cubic",
    help="Bring Cubic's fare data from Incoming to queryable Parquet.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(demo)
app.command()(ingest)
app.command()(status)
app.command()(audit)
app.command()(metrics)
loads.command()(retry)
loads.command()(acknowledge)
app.add_typer(loads)
app.add_typer(tables)
app.add_typer(quarantine)
app.add_typer(dmap)
app.add_typer(kafka)
app.add_typer(catalog)
app.add_typer(products)
app.add_typer(db)

COULD_NOT_RUN = 2
"""Exit code when a command could not do its work at all; 1 means that it did, and found something wrong."""
NEW_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""With Python's 700 its collector goes through all that is imported again and again, a sixth of a short command."""


def main() -> None:
    """Run ``cubic``; an error of ours is one line, not a traceback."""
    gc.set_threshold(NEW_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        prepare_streams()
        app()
    except CubicIngestionError as error:
        # A command makes no further try, whatever the error says to a run that does.
        message = error.problem + (" Run the command again." if isinstance(error, RetriableError) else "")
        Console(stderr=True, emoji=False).print(
            f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True
        )
        sys.exit(COULD_NOT_RUN)
    except Exception as error:
        # A defect keeps its traceback, but not Python's exit code 1, which says that a load ended in Error.
        sys.stderr.write(visible_lines("".join(traceback.format_exception(error))))
        raise SystemExit(COULD_NOT_RUN) from error
