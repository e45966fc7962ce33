"""Metrics of products: how far each is, how large, and what its last merge cost."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.ledger import Ledger

_TEXTS = {
    "loads": "Loads whose rows a product holds.",
    "rows": "Rows of a product.",
    "files": "Data files of a product.",
    "bytes": "Size of the data files of a product.",
    "waiting_changes": "Changes that a product does not show yet.",
    "source_lag_seconds": "Age, by the source's own time, of the newest load that a product holds.",
    "last_merge_seconds": "How long the last merge of a product took; builds do not count.",
}


def product_metrics(
    tables: Mapping[str, Table], ledger: Ledger, now: datetime, stream_of: Callable[[str], str]
) -> Iterator[Metric]:
    """Yield one metric per fact. A product that nothing was ever merged into has only ``waiting_changes``.

    Args:
        tables: The declared tables by name.
        ledger: Reads the ledger.
        now: The present moment.
        stream_of: Returns the stream of a table as the label that other metrics have.
    """
    names = {table: product.name for table, product in products_of(tables.values()).items()}
    values: dict[str, dict[str, float | None]] = {}
    for state in ledger.products.states():
        names.setdefault(state.table, state.name)
        lag = (now - state.newest_at).total_seconds() if state.newest_at else None
        values[state.table] = {
            "loads": state.n_loads,
            "rows": state.n_rows,
            "files": state.n_files,
            "bytes": state.n_bytes,
            "waiting_changes": 0,
            "source_lag_seconds": lag,
            "last_merge_seconds": state.merge_seconds,
        }
    for behind in ledger.deliveries[Consumer.PRODUCTS].backlog():
        if behind.table in names:
            values.setdefault(behind.table, {})["waiting_changes"] = behind.n_changes
    for fact, text in _TEXTS.items():
        metric = GaugeMetricFamily(f"cubic_product_{fact}", text, labels=["stream", "table", "product"])
        for table, facts in values.items():
            value = facts.get(fact)
            if value is not None:
                metric.add_metric([stream_of(table), table, names[table]], value)
        yield metric
