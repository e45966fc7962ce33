"""Resources: what assets, sensors and IO managers share. The platform is built on first use, never at load."""

import dagster as dg
from pydantic import PrivateAttr

from cubic_ingestion.bootstrap import platform_from_environment
from cubic_ingestion.pipeline.ingestion_platform import Platform


class PlatformResource(dg.ConfigurableResource[Platform]):
    """Holds the metadata database, the stores and the catalog that the settings name."""

    _platform: Platform | None = PrivateAttr(default=None)

    def platform(self) -> Platform:
        """Return the platform; one is shared by everything in a process."""
        if self._platform is None:
            self._platform = platform_from_environment()
        return self._platform
