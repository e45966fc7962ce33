"""``cubic status``: how things stand, per stream and table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cubic_ingestion.cli.output import AsJson, console, print_json, print_rows
from cubic_ingestion.domain.status import LoadStatus

if TYPE_CHECKING:
    from cubic_ingestion.domain.batch import ShardProgress
    from cubic_ingestion.ports import Platform, StatusCount

_OPEN = (
    LoadStatus.READY,
    LoadStatus.INGESTING,
    LoadStatus.READY_FOR_ARCHIVING,
    LoadStatus.ARCHIVING,
    LoadStatus.READY_FOR_ERRORING,
    LoadStatus.ERRORING,
)


def status(*, as_json: AsJson = False) -> None:
    """Show loads by table and status, rows, the last archived, the oldest under way, and prefixes no table declares.

    Example: `cubic status --json`
    """
    from cubic_ingestion.bootstrap import platform_from_environment
    from cubic_ingestion.pipeline.scan import undeclared_prefixes

    platform = platform_from_environment()
    rows = table_rows(platform)
    undeclared = undeclared_prefixes(platform.stores.incoming, platform.tables)
    shards = [_shard_row(platform, shard) for shard in platform.repository.shard_progress()]
    if as_json:
        print_json({"tables": rows, "undeclared_prefixes": undeclared, "kafka_shards": shards})
        return
    print_rows(rows, empty="No loads yet. 'cubic demo' puts a sample into Incoming, 'cubic ingest' ingests it.")
    if at_work := [row for row in shards if not row.pop("is_ended")]:
        print_rows(at_work, title="Kafka batcher")
    for prefix in undeclared:
        console.print(f"Left alone, no table declares it: {prefix}", highlight=False, markup=False)


def table_rows(platform: "Platform") -> list[dict[str, object]]:
    """Return one row a table that has loads, in the order of the declarations."""
    by_table: dict[str, list[StatusCount]] = {}
    for count in platform.repository.status_counts():
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
    under_way = [count for count in counts if count.status in _OPEN]
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
