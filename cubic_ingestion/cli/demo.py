"""``cubic demo``: something to ingest, or somebody to fetch from."""

from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import say
from cubic_ingestion.cli.platforms import the_platform
from cubic_ingestion.cli.sample import sample_files
from cubic_ingestion.domain.counted import counted

if TYPE_CHECKING:
    from cubic_ingestion.pipeline.ingestion_platform import Platform

Dmap = Annotated[bool, typer.Option("--dmap", help="Start a stand-in of the vendor's DMAP API instead.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="With --dmap: port to listen on; 0: any free one.")]
Honest = Annotated[bool, typer.Option("--honest", help="With --dmap: without misbehaviour.")]


def demo(context: typer.Context, *, dmap: Dmap = False, port: Port = 0, honest: Honest = False) -> None:
    """Put a small sample of all three streams into Incoming; what was put there before is not put again.

    With `--dmap`, put nothing there, but serve the vendor's DMAP API on localhost until Ctrl-C or SIGTERM.
    It prints what to paste in another shell, and each request it sees. It misbehaves a little: now, and once a minute
    again, it refuses a list (429), lets a link expire, and restates a data set.

    Example: `cubic demo && cubic ingest`
    """
    if dmap:
        from cubic_ingestion.cli.demo_vendor import serve

        serve(port, honest=honest)
    elif port or honest:
        raise typer.BadParameter("--port and --honest go with --dmap")
    else:
        _put_sample(the_platform(context))


def _put_sample(platform: "Platform") -> None:
    from cubic_ingestion.pipeline.incoming import require_incoming

    incoming = platform.stores.incoming
    require_incoming(incoming)
    files = sample_files()
    new = {
        key: data
        for key, data in files.items()
        if incoming.head(key) is None and not platform.ledger.queries.versions(_load_key(key))
    }
    for key, data in new.items():
        with incoming.writer(key) as out:
            out.file.write(data)
            out.commit()
    say(
        f"{counted(len(new), 'sample file')} put into {incoming.uri('')}"
        if new
        else "The sample was put into Incoming before."
    )


def _load_key(key: str) -> str:
    """Return the key of the load that a sample file, perhaps a sidecar, belongs to."""
    return key.removesuffix(".dfm") + ".csv.gz" if key.endswith(".dfm") else key
