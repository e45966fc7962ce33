"""Puts the Dagster definitions together; no definition is made here."""

import warnings
from collections.abc import Callable, Mapping
from datetime import time

import dagster as dg

from cubic_ingestion.defs.arrivals import expected_arrivals, missing_arrivals_sensor
from cubic_ingestion.defs.assets import build_table_asset
from cubic_ingestion.defs.audit import audit_zones, daily_audit
from cubic_ingestion.defs.cleaning import clean_warehouse, hourly_cleaning
from cubic_ingestion.defs.dmap import build_feed_asset, build_fetch_schedule
from cubic_ingestion.defs.io_managers import SpringboardIOManager
from cubic_ingestion.defs.jobs import move_originals, update_catalog
from cubic_ingestion.defs.kafka import kafka_batch, kafka_batch_schedule
from cubic_ingestion.defs.product_checks import build_fold_check
from cubic_ingestion.defs.products import build_product_assets, update_all_products
from cubic_ingestion.defs.pruning import daily_pruning, prune_runs
from cubic_ingestion.defs.resources import platform_resource
from cubic_ingestion.defs.sensors import (
    build_catalog_sensor,
    build_incoming_sensor,
    build_originals_sensor,
    build_products_sensor,
    dead_runs,
    release_failed_run,
    unreported_partitions,
)
from cubic_ingestion.domain.feed import feeds_of
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.pipeline.ingestion_platform import Platform


def build_definitions(
    tables: Mapping[str, Table], get_platform: Callable[[], Platform], dmap_fetch_at: time
) -> dg.Definitions:
    """Build everything Dagster shows: one asset per table, one sensor per stream, and what serves them.

    Args:
        tables: The declared tables by name.
        get_platform: Returns the platform to work on. It is called at every tick and run, and never at load.
        dmap_fetch_at: When DMAP is fetched each day, UTC.
    """
    with warnings.catch_warnings():
        # What is in beta is chosen on purpose; a warning an asset would bury all others.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _build(tables, get_platform, dmap_fetch_at)


def _build(tables: Mapping[str, Table], get_platform: Callable[[], Platform], dmap_fetch_at: time) -> dg.Definitions:
    platform = platform_resource(get_platform)
    active = {stream: [t for t in tables.values() if t.stream is stream and t.is_active] for stream in StreamName}
    feeds = feeds_of(tables.values())
    return dg.Definitions(
        assets=[
            *(build_table_asset(table) for table in tables.values()),
            *build_product_assets(products_of(tables.values())),
            *(build_feed_asset(feed) for feed in feeds),
            audit_zones,
            expected_arrivals,
        ],
        asset_checks=[build_fold_check(list(products_of(tables.values()).values()))],
        jobs=[move_originals, update_catalog, update_all_products, clean_warehouse, kafka_batch, prune_runs],
        sensors=[
            *(build_incoming_sensor(stream, of_stream) for stream, of_stream in active.items() if of_stream),
            build_originals_sensor(),
            build_catalog_sensor(),
            build_products_sensor(),
            unreported_partitions,
            release_failed_run,
            dead_runs,
            missing_arrivals_sensor,
        ],
        schedules=[
            daily_audit,
            daily_pruning,
            hourly_cleaning,
            kafka_batch_schedule,
            *([build_fetch_schedule(feeds, dmap_fetch_at)] if feeds else []),
        ],
        resources={"platform": platform, "springboard": SpringboardIOManager(platform=platform)},
        executor=dg.in_process_executor,
    )
