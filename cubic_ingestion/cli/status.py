"""``cubic status``: how things stand, per stream and table, and what is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cubic_ingestion.cli.output import AsJson, print_json, print_places, print_rows, say
from cubic_ingestion.cli.platforms import existing_platform
from cubic_ingestion.cli.products import product_rows
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.status import ENDED, LoadStatus
from cubic_ingestion.observability.problems import (
    MAX_SCAN_SECONDS,
    MAX_WAIT_SECONDS,
    ProblemCode,
    Thresholds,
)

if TYPE_CHECKING:
    from cubic_ingestion.domain.batch import ShardProgress
    from cubic_ingestion.domain.incoming import UnknownGroup
    from cubic_ingestion.ledger.records import StatusCount
    from cubic_ingestion.observability.health import Health
    from cubic_ingestion.pipeline.ingestion_platform import Platform

SCHEMA_VERSION = 1
"""Of the JSON; docs/observability.md describes it. Fields may be added within a version, none changes or goes."""

_SHOWN_OF_PRODUCTS = ("product", "loads", "waiting", "rows", "newest", "merged")

Check = Annotated[bool, typer.Option("--check", help="Only what is wrong; exit 1 if anything is.")]
MaxWait = Annotated[int, typer.Option(min=1, help="So long a load that lacks nothing may be on its way.")]
MaxScan = Annotated[int, typer.Option(min=1, help="Maximum seconds since Incoming was last listed.")]
ErroredHours = Annotated[
    int | None, typer.Option(min=0, help="Only loads sent to Error within so many hours are a problem; else all.")
]
Ignored = Annotated[list[ProblemCode] | None, typer.Option("--ignore", help="A problem not to look at; repeatable.")]


def status(
    context: typer.Context,
    *,
    check: Check = False,
    max_wait_seconds: MaxWait = MAX_WAIT_SECONDS,
    max_scan_seconds: MaxScan = MAX_SCAN_SECONDS,
    errored_hours: ErroredHours = None,
    ignore: Ignored = None,
    as_json: AsJson = False,
) -> None:
    """Show loads by table and status, products, what is wrong, what did not arrive, and prefixes of no table.

    With `--check`, which reads nothing that is archived, exit code 1 if anything is wrong, 2 if it cannot look.

    Example: `cubic status --check --ignore errored`
    """
    from cubic_ingestion.observability.health import health

    platform = existing_platform(context)
    thresholds = Thresholds(platform.limits, max_wait_seconds, errored_hours, tuple(ignore or ()), max_scan_seconds)
    now, incoming = platform.clock.now(), platform.stores.incoming
    found = health(platform.tables, platform.ledger.without_retries(), now, thresholds, incoming)
    if check:
        _check(found, as_json=as_json)
    else:
        _show(platform, found, as_json=as_json)


def _check(found: "Health", *, as_json: bool) -> None:
    if as_json:
        print_json(health_report(found))
    else:
        _print_problems(found)
        say("Healthy." if found.is_healthy else f"Problems: {len(found.problems)}.")
    if not found.is_healthy:
        raise typer.Exit(1)


def _show(platform: "Platform", found: "Health", *, as_json: bool) -> None:
    rows = table_rows(platform)
    is_there = all(problem.code is not ProblemCode.INCOMING_MISSING for problem in found.problems)
    undeclared, unknown = _not_taken(platform) if is_there else ([], [])
    shards = [_shard_row(platform, shard) for shard in platform.ledger.shards.progress()]
    products = product_rows(platform)
    if as_json:
        report = {
            "streams": stream_rows(rows),
            "tables": rows,
            "undeclared_prefixes": undeclared,
            "unknown_objects": [asdict(group) for group in unknown],
            "kafka_shards": shards,
            "products": products,
        }
        print_json(health_report(found) | report)
        if not rows:
            print_places(is_error=True)
        return
    n_unknown = sum(group.n_objects for group in unknown)
    if n_unknown:
        beginning = f"No loads: {counted(n_unknown, 'object')} in Incoming, and no table takes any of them."
    elif is_there:
        beginning = "No loads yet. 'cubic demo' puts a sample into Incoming, 'cubic ingest' ingests it."
    else:
        beginning = "No loads yet."
    print_rows(rows, empty=beginning)
    if products:
        print_rows([{name: row[name] for name in _SHOWN_OF_PRODUCTS} for row in products], title="Products")
    if at_work := [row for row in shards if not row.pop("is_ended")]:
        print_rows(at_work, title="Kafka batcher")
    _print_problems(found)
    for group in unknown:
        say(f"Incoming: {group}")
    for prefix in undeclared:
        if all(not group.folder.startswith(prefix) for group in unknown):
            say(f"Left alone, no table declares it: {prefix}")


def _not_taken(platform: "Platform") -> "tuple[list[str], list[UnknownGroup]]":
    """Return the folders that no table declares, and the objects that no table takes."""
    from cubic_ingestion.pipeline.scan import undeclared_prefixes
    from cubic_ingestion.pipeline.scan_record import left_alone

    return undeclared_prefixes(platform.stores.incoming, platform.tables), left_alone(platform)


def _print_problems(found: "Health") -> None:
    for problem in found.problems:
        subject = f"{problem.code.value} {problem.table}".rstrip()
        say(f"{subject}: {problem.message} {problem.remedy}")


def health_report(found: "Health") -> dict[str, object]:
    """Return the part of the JSON that says whether anything is wrong."""
    return {
        "schema_version": SCHEMA_VERSION,
        "checked_at": found.checked_at,
        "healthy": found.is_healthy,
        "problems": [asdict(problem) for problem in found.problems],
    }


def stream_rows(rows: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """Sum up the rows of tables, by stream."""
    by_stream: dict[str, list[Mapping[str, object]]] = {}
    for row in rows:
        by_stream.setdefault(str(row["stream"]), []).append(row)
    return [_stream_row(stream, of_stream) for stream, of_stream in sorted(by_stream.items())]


def _stream_row(stream: str, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    sums = ("under_way", "archived", "errored", "rows")
    return {"stream": stream, "tables": len(rows), **{name: sum(int(str(row[name])) for row in rows) for name in sums}}


def table_rows(platform: "Platform") -> list[dict[str, object]]:
    """Return one row a table that has loads, in the order of the declarations."""
    by_table: dict[str, list[StatusCount]] = {}
    for count in platform.ledger.queries.status_counts():
        by_table.setdefault(count.table, []).append(count)
    names = [name for name in platform.tables if name in by_table]
    names += sorted(by_table.keys() - platform.tables.keys())
    return [_row(platform, name, by_table[name]) for name in names]


def _shard_row(platform: "Platform", shard: "ShardProgress") -> dict[str, object]:
    since = shard.oldest_open_at
    return {
        "kinesis_stream": shard.stream,
        "shard": shard.shard,
        "leased_by": shard.owner,
        "read_at": shard.read_at,
        "behind_seconds": shard.behind_milliseconds / 1_000,
        "newest_record": shard.arrived_at,
        "open_batches": shard.n_open_batches,
        "open_records": shard.n_open_records,
        "oldest_open_seconds": int((platform.clock.now() - since).total_seconds()) if since else None,
        "is_ended": shard.is_ended,
    }


def _row(platform: "Platform", name: str, counts: Sequence["StatusCount"]) -> dict[str, object]:
    table = platform.tables.get(name)
    under_way = [count for count in counts if count.status not in ENDED]
    return {
        "stream": table.stream.value if table else "",
        "table": name,
        "under_way": sum(count.n_loads for count in under_way),
        "archived": sum(count.n_loads for count in counts if count.status is LoadStatus.ARCHIVED),
        "errored": sum(count.n_loads for count in counts if count.status is LoadStatus.ERRORED),
        "rows": sum(count.n_rows for count in counts),
        "quarantined": sum(count.n_quarantined for count in counts),
        "last_archived": max(
            (count.newest_updated_at for count in counts if count.status is LoadStatus.ARCHIVED), default=None
        ),
        "oldest_under_way": min((count.oldest_inserted_at for count in under_way), default=None),
    }
