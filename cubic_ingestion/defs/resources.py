"""Resources: what assets, sensors and IO managers share. The platform is built on first use, never at load."""

from collections.abc import Callable

import dagster as dg

from cubic_ingestion.pipeline.ingestion_platform import Platform


def platform_resource(get_platform: Callable[[], Platform]) -> dg.ResourceDefinition:
    """Hand out the platform itself. Dagster asks at every tick and run, so ``get_platform`` returns a shared one."""

    @dg.resource(description="The ledger, the stores and the catalog that the settings name.")
    def platform() -> Platform:
        return get_platform()

    return platform
