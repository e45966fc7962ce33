"""``cubic db``: the ledger's schema."""

import typer

from cubic_ingestion.cli.output import say

db = typer.Typer(name="db", help="The ledger.", no_args_is_help=True)


@db.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction] - keeps `db` a group with one command
    """The ledger."""


@db.command()
def upgrade() -> None:
    """Bring the ledger to the newest schema; nothing is lost, and running it again does nothing.

    Example: `cubic db upgrade`
    """
    from cubic_ingestion.bootstrap import upgrade_database
    from cubic_ingestion.settings import read_settings

    revision = upgrade_database(read_settings())
    say(f"The ledger is at revision {revision}.")
