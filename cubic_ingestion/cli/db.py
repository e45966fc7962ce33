"""``cubic db``: the ledger's schema."""

from typing import Annotated

import typer

from cubic_ingestion.cli.output import say

db = typer.Typer(name="db", help="The ledger's schema.", no_args_is_help=True)


@db.command()
def upgrade() -> None:
    """Bring the ledger to the newest schema; nothing is lost, and running it again does nothing.

    Example: `cubic db upgrade`
    """
    from cubic_ingestion.bootstrap import upgrade_database
    from cubic_ingestion.settings import read_settings

    revision = upgrade_database(read_settings())
    say(f"The ledger is at revision {revision}.")


@db.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="Revision of the older release; its `cubic status` says which.")],
) -> None:
    """Take the ledger back to the schema of an older release. It asks nothing.

    Stop all processes first: workers, daemon, code server, webserver, batchers and `cubic metrics`. Loads stay. Some of
    what the older schema has no place for is parked in tables `cubic_parked_...`, and the next upgrade takes it back:
    of 0010 the change feed and the steps of loads, of 0009 the primary keys, of 0003 the open Kafka batches. Some is
    lost: of 0008 acknowledgements, of 0006 what the DMAP fetcher keeps of its feeds. docs/deploy.md has the list.

    Example: `cubic db downgrade 0009`
    """
    from cubic_ingestion.bootstrap import downgrade_database
    from cubic_ingestion.settings import read_settings

    at = downgrade_database(read_settings(), revision)
    say(f"The ledger is at revision {at}.")
