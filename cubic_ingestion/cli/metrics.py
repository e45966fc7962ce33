"""``cubic metrics``: serves what Prometheus scrapes."""

import signal
from contextlib import suppress
from typing import Annotated

import typer

from cubic_ingestion.cli.output import say, write
from cubic_ingestion.cli.platforms import existing_platform

Host = Annotated[str | None, typer.Option(help="Address to listen on; CUBIC_METRICS_HOST if not given.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65_535, help="Port to listen on; CUBIC_METRICS_PORT if not given.")
]
Once = Annotated[bool, typer.Option("--once", help="Print what a scrape would get, and end.")]


def metrics(context: typer.Context, *, host: Host = None, port: Port = None, once: Once = False) -> None:
    """Serve metrics for Prometheus, read from the ledger and Incoming at each scrape, until stopped.

    Example: `cubic metrics --port 9464`
    """
    from cubic_ingestion.bootstrap import logs_from_environment
    from cubic_ingestion.observability.metrics import LedgerCollector, exposition, serve
    from cubic_ingestion.observability.problems import Thresholds
    from cubic_ingestion.settings import read_settings

    logs_from_environment()
    settings = read_settings()
    platform = existing_platform(context)
    thresholds = Thresholds(limits=platform.limits)
    collector = LedgerCollector(
        platform.tables, platform.ledger.without_retries(), platform.clock, thresholds, platform.stores.incoming
    )
    if once:
        write(exposition(collector))
        return
    address = host or settings.metrics_host
    try:
        listening, stop = serve(collector, address, settings.metrics_port if port is None else port)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen there ({error.strerror}); name another --host or --port") from error
    say(f"Metrics on http://{address}:{listening}/metrics")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        signal.pause()
    stop()
