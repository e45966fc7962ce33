"""Resources: what assets, sensors and IO managers share. The platform is built on first use, never at load."""

import dagster as dg
from pydantic import PrivateAttr

from cubic_ingestion.bootstrap import observer_from_environment, platform_from_environment
from cubic_ingestion.ports import LoadObserver, Platform


class PlatformResource(dg.ConfigurableResource[Platform]):
    """Holds the metadata database, the stores and the catalog that the settings name."""

    _platform: Platform | None = PrivateAttr(default=None)
    _observer: LoadObserver | None = PrivateAttr(default=None)

    def platform(self) -> Platform:
        """Return the platform; one is shared by everything in a process."""
        if self._platform is None:
            self._platform = platform_from_environment()
        return self._platform

    def observer(self) -> LoadObserver:
        """Return what reads the metadata database for those who watch it."""
        if self._observer is None:
            self._observer = observer_from_environment()
        return self._observer
