"""Incoming itself: whether the bucket is there at all. What lies in it is the matter of ``scan``."""

from cubic_ingestion.errors import SettingsError
from cubic_ingestion.ports import BucketMissingError, ObjectStore

SETTING = "CUBIC_INCOMING_URL"


def require_incoming(incoming: ObjectStore) -> None:
    """Make sure that Incoming is there: a name with a mistake or a volume that is not mounted is no quiet day.

    Raises:
        SettingsError: It is not there, or this process may not list it.
        StoreUnavailableError: It cannot be listed now.
    """
    try:
        incoming.require()
    except BucketMissingError as error:
        raise SettingsError(SETTING, f"Incoming cannot be listed: {error.problem}", error.fix) from error
