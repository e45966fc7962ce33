"""From a bucket's URL to the adapter that serves it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from cubic_ingestion.errors import SettingsError
from cubic_ingestion.ports import ObjectStore
from cubic_ingestion.storage.local_object_store import LocalObjectStore


def open_store(url: str, *, setting: str = "Bucket URL") -> ObjectStore:
    """Return the store that a URL names; touches neither disk nor network.

    Args:
        url: ``file:///folder``, or a plain path, which may be relative to the working directory or begin with ``~``.
        setting: Name of the setting the URL comes from, for the error message.

    Raises:
        SettingsError: No adapter serves such a URL.
    """
    if "://" not in url and url.strip():
        return LocalObjectStore(Path(url).expanduser())
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return LocalObjectStore(Path(unquote(parts.path, errors="surrogateescape")))
    problem = f"The scheme {parts.scheme!r} is not supported." if parts.scheme != "file" else "The URL names no folder."
    raise SettingsError(setting, problem, "Give a folder: a path, or 'file:///' and an absolute path.")
