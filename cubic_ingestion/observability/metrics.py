"""Metrics: what Prometheus scrapes, read from the ledger, and by one look at Incoming, at each scrape.

Runs are processes that come and go, on many machines, and what they did stands in the ledger; so nothing is
counted in them, nothing is shared between them, and one process that serves is enough. A restart loses nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import quantiles
from threading import Lock

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest, start_http_server
from prometheus_client.registry import Collector
from typing_extensions import override

from cubic_ingestion.domain.batch import ShardProgress
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import RetriableError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import LoadTotal
from cubic_ingestion.observability.health import health
from cubic_ingestion.observability.problems import Thresholds
from cubic_ingestion.observability.product_metrics import product_metrics
from cubic_ingestion.observability.totals import Totals
from cubic_ingestion.outside_text import visible
from cubic_ingestion.ports import Clock, ObjectStore

RECENT_LOADS = 1_000
"""Loads, the newest, whose durations are told."""

_QUANTILES = (0.5, 0.95)


class LedgerCollector(Collector):
    """Collects from the ledger; while that is away, ``cubic_up`` is 0 and all else is left out.

    Args:
        tables: The declared tables by name.
        ledger: Reads the ledger.
        clock: Tells the time.
        thresholds: From when on something is a problem.
        incoming: The Incoming bucket, which is looked at once per scrape; None leaves out what only that can show.
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        ledger: Ledger,
        clock: Clock,
        thresholds: Thresholds,
        incoming: ObjectStore | None = None,
    ) -> None:
        self._tables = tables
        self._ledger = ledger
        self._clock = clock
        self._thresholds = thresholds
        self._incoming = incoming
        self._totals = Totals(ledger)
        self._one_at_a_time = Lock()

    @override
    def collect(self) -> Iterable[Metric]:
        """Ask for everything, once a scrape."""
        with self._one_at_a_time:
            try:
                metrics = list(self._collected(self._clock.now()))
            except RetriableError:
                return [_up(0)]
            return [_up(1), *map(_with_visible_labels, metrics)]

    def _collected(self, now: datetime) -> Iterator[Metric]:
        yield from self._summed(self._totals.read(now))
        yield from self._waiting(now)
        yield self._failures()
        yield self._behind(
            "cubic_unreported_changes", "Changes of partitions that Dagster does not show yet.", Consumer.DAGSTER
        )
        yield self._behind(
            "cubic_uncatalogued_changes", "Changes that the catalog does not know yet.", Consumer.CATALOG
        )
        yield self._lags(now)
        yield from product_metrics(self._tables, self._ledger, now, self._stream)
        yield from self._durations()
        yield self._problems(now)
        yield from self._scans(now)
        yield from self._shards(now)

    def _summed(self, totals: Sequence[LoadTotal]) -> Iterator[Metric]:
        loads = GaugeMetricFamily("cubic_loads", "Loads by status.", labels=["stream", "table", "status"])
        for total in totals:
            loads.add_metric([self._stream(total.table), total.table, total.status.value], total.n_loads)
        yield loads
        texts = {
            "rows": "Rows in Springboard.",
            "quarantined_records": "Records in quarantine.",
            "parquet_bytes": "Size of the Parquet files in Springboard.",
        }
        by_table: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        received: dict[str, int] = defaultdict(int)
        for total in totals:
            sums = (total.n_rows, total.n_quarantined, total.n_bytes)
            by_table[total.table] = [old + new for old, new in zip(by_table[total.table], sums, strict=True)]
            received[total.table] += total.n_source_bytes
        for index, (name, text) in enumerate(texts.items()):
            yield self._by_table(
                GaugeMetricFamily(f"cubic_{name}", text, labels=["stream", "table"]),
                {table: sums[index] for table, sums in by_table.items()},
            )
        bytes_received = CounterMetricFamily(
            "cubic_received_bytes", "Size of all registered originals.", labels=["stream", "table"]
        )
        yield self._by_table(bytes_received, received)

    def _waiting(self, now: datetime) -> Iterator[Metric]:
        oldest: dict[str, float] = {stream.value: 0.0 for stream in {table.stream for table in self._tables.values()}}
        lacking: dict[str, float] = dict.fromkeys(oldest, 0.0)
        for loads in self._ledger.counts.open_loads(now):
            stream = self._stream(loads.table)
            lacking[stream] = lacking.get(stream, 0.0) + loads.n_lacking
            if loads.oldest_at and loads.table in self._tables and self._tables[loads.table].is_active:
                oldest[stream] = max(oldest.get(stream, 0.0), (now - loads.oldest_at).total_seconds())
        yield _by_stream("oldest_waiting_seconds", "Age of the oldest load on its way that lacks nothing.", oldest)
        yield _by_stream("lacking_loads", "Loads that wait for a sidecar or a snapshot.", lacking)

    def _failures(self) -> Metric:
        labels = ["stream", "table", "code"]
        failures = GaugeMetricFamily(
            "cubic_errored_loads",
            "Rejected loads that nobody has acknowledged, by the code of their reason.",
            labels=labels,
        )
        for loads in self._ledger.counts.errored():
            failures.add_metric([self._stream(loads.table), loads.table, loads.code], loads.n_loads)
        return failures

    def _behind(self, name: str, text: str, consumer: Consumer) -> Metric:
        changes = GaugeMetricFamily(name, text, labels=["stream", "table"])
        backlog = self._ledger.deliveries[consumer].backlog()
        return self._by_table(changes, {behind.table: behind.n_changes for behind in backlog})

    def _lags(self, now: datetime) -> Metric:
        lags = GaugeMetricFamily(
            "cubic_source_lag_seconds",
            "Age, by the source's own time, of the newest data that can be queried.",
            labels=["stream", "table"],
        )
        newest = self._ledger.counts.newest().items()
        return self._by_table(lags, {table: (now - data.source_at).total_seconds() for table, data in newest})

    def _durations(self) -> Iterator[Metric]:
        passages = self._ledger.counts.passages(RECENT_LOADS)
        yield self._quantiles(
            "cubic_recent_load_duration_seconds",
            f"Time from landing to Archive, of the newest {RECENT_LOADS} loads that are there.",
            [(one.table, one.archived_at - one.landed_at) for one in passages],
        )
        yield self._quantiles(
            "cubic_recent_ingest_duration_seconds",
            f"Time from registering to Archive, of the newest {RECENT_LOADS} loads that are there.",
            [(one.table, one.archived_at - one.registered_at) for one in passages],
        )

    def _quantiles(self, name: str, text: str, spans: Collection[tuple[str, timedelta]]) -> Metric:
        metric = GaugeMetricFamily(name, text, labels=["stream", "quantile"])
        by_stream: dict[str, list[float]] = {}
        for table, span in spans:
            by_stream.setdefault(self._stream(table), []).append(span.total_seconds())
        for stream, seconds in sorted(by_stream.items()):
            cuts = quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else seconds * 99
            for quantile in _QUANTILES:
                metric.add_metric([stream, str(quantile)], cuts[round(quantile * 100) - 1])
        return metric

    def _problems(self, now: datetime) -> Metric:
        labels = ["code", "stream", "table"]
        metric = GaugeMetricFamily("cubic_problems", "What `cubic status --check` finds, by code.", labels=labels)
        found: dict[tuple[str, str, str], int] = defaultdict(int)
        for problem in health(self._tables, self._ledger, now, self._thresholds, self._incoming).problems:
            found[problem.code.value, self._stream(problem.table), problem.table] += 1
        for key, n_problems in found.items():
            metric.add_metric(list(key), n_problems)
        return metric

    def _scans(self, now: datetime) -> Iterator[Metric]:
        scans = self._ledger.intake.scans()
        by_stream = {stream.value: scans[stream.prefix] for stream in StreamName if stream.prefix in scans}
        ages = {stream: (now - scan.active_at).total_seconds() for stream, scan in by_stream.items()}
        yield _by_stream("last_scan_age_seconds", "Time since Incoming was last listed.", ages)
        texts = {
            "n_objects": "Objects in Incoming that the last whole listing saw.",
            "n_unsettled": "Of these, objects that may still be written to.",
            "n_unknown": "Of these, objects that no table takes.",
        }
        for name, text in texts.items():
            counts = {stream: getattr(scan.seen, name) for stream, scan in by_stream.items()}
            yield _by_stream(f"scan_{name.removeprefix('n_')}", text, counts)

    def _shards(self, now: datetime) -> Iterator[Metric]:
        texts = {
            "behind_seconds": "How far the batcher's last read of a shard was behind its newest record.",
            "open_batches": "Batches that are not cut yet.",
            "open_records": "Records in them.",
            "oldest_open_seconds": "Age of the oldest of them; 0 if there is none.",
        }
        shards = [shard for shard in self._ledger.shards.progress() if not shard.is_ended]
        for name, text in texts.items():
            metric = GaugeMetricFamily(f"cubic_kafka_{name}", text, labels=["kinesis_stream", "shard"])
            for shard in shards:
                metric.add_metric([shard.stream, shard.shard], _of_shard(shard, now)[name])
            yield metric

    def _by_table(
        self, metric: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]
    ) -> GaugeMetricFamily | CounterMetricFamily:
        for table, value in values.items():
            metric.add_metric([self._stream(table), table], value)
        return metric

    def _stream(self, table: str) -> str:
        if not table:
            return ""
        return self._tables[table].stream.value if table in self._tables else "undeclared"


def _of_shard(shard: ShardProgress, now: datetime) -> Mapping[str, float]:
    oldest = shard.oldest_open_at
    return {
        "behind_seconds": shard.behind_milliseconds / 1_000,
        "open_batches": shard.n_open_batches,
        "open_records": shard.n_open_records,
        "oldest_open_seconds": (now - oldest).total_seconds() if oldest else 0.0,
    }


def exposition(collector: LedgerCollector) -> str:
    """Return what a scrape would get, as text."""
    return generate_latest(_registry(collector)).decode()


def serve(collector: LedgerCollector, host: str, port: int) -> tuple[int, Callable[[], None]]:
    """Serve metrics over HTTP from a thread, until told to stop.

    Returns:
        The port that is listened on, and what stops it.
    """
    server, thread = start_http_server(port, host, _registry(collector))

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, stop


def _registry(collector: LedgerCollector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _up(value: int) -> Metric:
    return GaugeMetricFamily("cubic_up", "Whether the ledger answers.", value=value)


def _with_visible_labels(metric: Metric) -> Metric:
    metric.samples = [
        sample._replace(labels={name: visible(value) for name, value in sample.labels.items()})
        for sample in metric.samples
    ]
    return metric


def _by_stream(name: str, text: str, values: Mapping[str, float]) -> Metric:
    metric = GaugeMetricFamily(f"cubic_{name}", text, labels=["stream"])
    for stream, value in sorted(values.items()):
        metric.add_metric([stream], value)
    return metric
