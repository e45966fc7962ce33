"""``cubic kafka``: the batcher, which brings records of a Kinesis stream to Incoming."""

import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, print_json, say, warn
from cubic_ingestion.cli.platforms import the_platform
from cubic_ingestion.domain.counted import counted

if TYPE_CHECKING:
    from cubic_ingestion.pipeline.kafka import BatcherReport

kafka = typer.Typer(name="kafka", help="The Kafka batcher.", no_args_is_help=True)

Follow = Annotated[bool, typer.Option("--follow", help="Read on until stopped (SIGTERM, Ctrl-C).")]


@kafka.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction] - keeps `kafka` a group with one command
    """The Kafka batcher."""


@kafka.command()
def batch(context: typer.Context, *, follow: Follow = False, as_json: AsJson = False) -> None:
    """Bring the records of a Kinesis stream to Incoming, as batches; each record is in exactly one.

    Example: `CUBIC_KINESIS_STREAM=fares cubic kafka batch --follow`
    """
    from cubic_ingestion.bootstrap import build_batcher
    from cubic_ingestion.settings import read_settings

    batcher = build_batcher(read_settings(), the_platform(context), warn)
    if follow:
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        report = batcher.follow(stopped.is_set, stopped.wait)
    else:
        report = batcher.run_once()
    _print(report, as_json=as_json)
    raise typer.Exit(1 if report.problems and not follow else 0)


def _print(report: "BatcherReport", *, as_json: bool) -> None:
    done = report.done
    if as_json:
        print_json(
            {
                "records": done.n_records,
                "dead_letters": done.n_dead_letters,
                "files": done.n_files,
                "shards": sorted(report.shards),
                "held_elsewhere": sorted(report.held_elsewhere),
                "problems": list(report.problems),
            }
        )
        return
    say(
        f"{counted(done.n_records, 'record')} of {counted(len(report.shards), 'shard')} read, "
        f"{counted(done.n_files, 'file')} written, {counted(done.n_dead_letters, 'record')} among the dead letters."
    )
    for shard in sorted(report.held_elsewhere):
        say(f"Left to another batcher, which has its lease: {shard}")
