"""``cubic demo``: something to ingest."""

import typer

from cubic_ingestion.cli.sample import sample_files


def demo() -> None:
    """Put a small sample of all three streams into Incoming; what was put there before is not put again.

    Example: `cubic demo && cubic ingest`
    """
    from cubic_ingestion.bootstrap import platform_from_environment

    platform = platform_from_environment()
    incoming = platform.stores.incoming
    files = sample_files()
    new = {
        key: data
        for key, data in files.items()
        if incoming.head(key) is None and not platform.repository.versions(_load_key(key))
    }
    for key, data in new.items():
        with incoming.writer(key) as out:
            out.file.write(data)
            out.commit()
    typer.echo(
        f"{len(new)} sample files put into {incoming.uri('')}" if new else "The sample was put into Incoming before."
    )


def _load_key(key: str) -> str:
    """Return the key of the load that a sample file, perhaps a sidecar, belongs to."""
    return key.removesuffix(".dfm") + ".csv.gz" if key.endswith(".dfm") else key
