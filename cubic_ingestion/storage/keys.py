"""Which keys are objects, the same in every store."""

from cubic_ingestion.errors import InvalidKeyError

HIDDEN = "."
"""Files and folders whose names begin with it are no objects: unfinished writes, and what editors and systems leave."""

MAX_KEY_BYTES = 1_024
"""S3's own limit."""


def is_key(key: str) -> bool:
    """Say whether every segment of a key has a name, and none is hidden (``..`` is)."""
    return all(segment and not segment.startswith(HIDDEN) for segment in key.split("/"))


def check_key(key: str) -> str:
    """Return a key.

    Raises:
        InvalidKeyError: It is empty, absolute, or has an empty or a hidden segment.
    """
    if not is_key(key):
        raise InvalidKeyError(key, "an empty segment, or one that begins with '.'")
    return key
