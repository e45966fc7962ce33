"""Which keys are objects, the same in every store."""

from cubic_ingestion.errors import InvalidKeyError

HIDDEN = "."
"""Files and folders whose names begin with it are no objects: unfinished writes, and what editors and systems leave."""

MAX_KEY_BYTES = 1_024
"""S3's own limit."""


def is_key(key: str) -> bool:
    """Say whether every segment of a key has a name, and none is hidden (``..`` is)."""
    return not why_no_key(key)


def why_no_key(key: str) -> str:
    """Say why what stands under a key is no object; empty if it is one."""
    segments = key.split("/")
    if not all(segments):
        return "a part of its key is empty"
    return "a part of its key begins with a dot" if any(part.startswith(HIDDEN) for part in segments) else ""


def check_key(key: str) -> str:
    """Return a key.

    Raises:
        InvalidKeyError: It is empty, absolute, or has an empty or a hidden segment.
    """
    if not is_key(key):
        raise InvalidKeyError(key, "an empty segment, or one that begins with '.'")
    return key
