"""Products in Dagster: an asset each, downstream of the table it is made of, and the job that keeps them current."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from random import Random
from typing import Any, cast

import dagster as dg
from dagster import MetadataValue

from cubic_ingestion.defs.failures import step_failures
from cubic_ingestion.defs.inert_text import inert
from cubic_ingestion.defs.product_checks import check_specs, judge
from cubic_ingestion.defs.translator import asset_key, freshness_policy, product_key
from cubic_ingestion.domain.product import Lane, Product, ProductKind, products_of
from cubic_ingestion.ledger.records import ProductState
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.release import release
from cubic_ingestion.products.generation_facts import why_absent
from cubic_ingestion.products.steps import Merged
from cubic_ingestion.products.update import rebuild_product, update_products

_DESCRIPTIONS = {
    ProductKind.CHANGES: "All rows of the change table {table}, in few large files.",
    ProductKind.EVENTS: "All rows of {table}, in few large files.",
    ProductKind.CURRENT: "What is true now of {table}: one row per key.",
}


_NOTHING = ProductState("", "", 0, None, None, None, None, 0, 0, 0, 0)


class ProductConfig(dg.Config):
    """How to materialise a product."""

    rebuild: bool = False
    """Write it anew from all that stands in Springboard, and replace it in one commit."""


def build_product_assets(products: Mapping[str, Product]) -> Iterator[dg.AssetsDefinition]:
    """Make an asset for each product, given by the name of its table; what it is made of is upstream of it."""
    changes = {product.source.base: product for product in products.values() if product.source.base}
    for name, product in products.items():
        yield _build_asset(product, changes.get(name))


def _build_asset(product: Product, changes: Product | None) -> dg.AssetsDefinition:
    """Make the asset of a product. Materialising it brings it up to date, whether or not it is due.

    Args:
        product: The product.
        changes: The ``__changes`` that it is made of as well, if any.
    """
    key = product_key(product)
    sources = [product.source, *([changes.source] if changes else [])]

    @dg.asset(
        key=key,
        deps=[asset_key(product.source), *([product_key(changes)] if changes else [])],
        group_name="products",
        description=_DESCRIPTIONS[product.kind].format(table=f"`{product.source.catalog_name}`"),
        tags={"cubic/stream": product.source.stream.value},
        kinds={"iceberg", "parquet"},
        metadata={"dagster/table_name": product.name},
        freshness_policy=freshness_policy(sources[-1]),
        check_specs=check_specs(product, key),
    )
    def product_table(
        context: dg.AssetExecutionContext, config: ProductConfig, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        run_id = context.run.run_id
        with step_failures(retry_after_seconds=10):
            if context.retry_number:
                release(platform, run_id)
            report = (
                rebuild_product(platform, product, run_id=run_id)
                if config.rebuild
                else update_products(platform, [source.name for source in sources], run_id=run_id)
            )
            merged = [each for each in report.merged if each.product == product.name]
            verdicts = list(judge(platform, product, proves=False))
        if report.refused:
            raise dg.Failure(description=inert("\n".join(report.refused.values())), allow_retries=False)
        results = [dg.AssetCheckResult(check_name=each.name, asset_key=key, **each.result) for each in verdicts]
        yield dg.MaterializeResult(metadata=_metadata(platform, product, merged), check_results=results)

    return product_table


class UpdateConfig(dg.Config):
    """Which products to update."""

    only_due: bool = True
    lane: Lane | None = None
    """Only products whose merges are cheap (SMALL), or only those whose are not (LARGE); all by default."""


@dg.op(description="Brings the products up to date that have changes and are due.")
def merge_changes(context: dg.OpExecutionContext, config: UpdateConfig, platform: dg.ResourceParam[Platform]) -> None:
    """Update products, and report each that changed."""
    with step_failures(retry_after_seconds=10):
        if context.retry_number:
            release(platform, context.run_id)
        report = update_products(platform, run_id=context.run_id, only_due=config.only_due, lane=config.lane)
    products = products_of(platform.tables.values())
    changed = list(dict.fromkeys(merged.table for merged in report.merged if merged.n_loads))
    proved = Random(context.run_id).choice(changed) if changed else None  # noqa: S311 - a sample, and no secret
    for name in changed:
        key, merges = product_key(products[name]), [merged for merged in report.merged if merged.table == name]
        context.log_event(dg.AssetMaterialization(key, metadata=_metadata(platform, products[name], merges)))
        for verdict in judge(platform, products[name], proves=name == proved):
            evaluation = dg.AssetCheckEvaluation(key, verdict.name, **verdict.result)
            context.log_event(cast("Any", evaluation))  # its annotation leaves out what it takes
    for name, why in report.refused.items():
        context.log.warning("Not up to date yet: %s: %s", name, inert(why))


@dg.job(name="update_products", description="Brings products up to date with Springboard.")
def update_all_products() -> None:
    """Update products."""
    cast("object", merge_changes())


def update_lane(lane: Lane) -> dg.RunConfig:
    """Configure a run that updates what is due in a lane."""
    return dg.RunConfig(ops={merge_changes.name: UpdateConfig(lane=lane)})


UPDATE_ALL = dg.RunConfig(ops={merge_changes.name: UpdateConfig(only_due=False)})
"""Configuration of a run that updates what has changes, whether or not it is due."""


def _metadata(platform: Platform, product: Product, merges: list[Merged]) -> Mapping[str, Any]:
    (state,) = platform.ledger.products.states([product.source.name]) or [_NOTHING]
    note = why_absent(platform, product) if state is _NOTHING else None
    lag = {"lag_seconds": MetadataValue.float(_lag(state.newest_at, platform.clock.now()))} if state.newest_at else {}
    return {
        "dagster/row_count": MetadataValue.int(state.n_rows),
        "loads": MetadataValue.int(state.n_loads),
        "files": MetadataValue.int(state.n_files),
        "size_bytes": MetadataValue.int(state.n_bytes),
        "loads_applied": MetadataValue.int(sum(merged.n_loads for merged in merges)),
        "rows_applied": MetadataValue.int(sum(merged.n_rows for merged in merges)),
        "files_rewritten": MetadataValue.int(sum(merged.n_rewritten for merged in merges)),
        "bytes_rewritten": MetadataValue.int(sum(merged.bytes_rewritten for merged in merges)),
        "orphans": MetadataValue.int(sum(merged.n_orphans for merged in merges)),
        "seconds": MetadataValue.float(round(sum((merged.seconds for merged in merges), 0.0), 3)),
        **lag,
        **({"note": MetadataValue.text(note)} if note else {}),
    }


def _lag(newest_at: datetime, now: datetime) -> float:
    """Return for how many seconds the source has been going on without the product, by the newest file's own time."""
    return round((now - newest_at).total_seconds(), 3)
