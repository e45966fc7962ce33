"""From a bucket's URL to the adapter that serves it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from cubic_ingestion.errors import SettingsError
from cubic_ingestion.ports import ObjectStore
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion.storage.s3_options import S3Options

_DEFAULT = S3Options()


def open_store(url: str, *, setting: str = "Bucket URL", s3: S3Options = _DEFAULT) -> ObjectStore:
    """Return the store that a URL names; touches neither disk nor network.

    Args:
        url: ``s3://bucket/prefix``; or ``file:///folder``; or a plain path, which may be relative to the working
            directory or begin with ``~``.
        setting: Name of the setting the URL comes from, for the error message.
        s3: How S3 is spoken to.

    Raises:
        SettingsError: No adapter serves such a URL.
    """
    if "://" not in url and url.strip():
        return LocalObjectStore(Path(url).expanduser())
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return LocalObjectStore(Path(unquote(parts.path, errors="surrogateescape")))
    if parts.scheme == "s3" and parts.netloc:
        from cubic_ingestion.storage.s3_client import open_s3_store  # noqa: PLC0415 - boto3 is heavy

        return open_s3_store(url, s3)
    known = parts.scheme in {"file", "s3"}
    problem = "The URL names no place." if known else f"The scheme {parts.scheme!r} is not supported."
    raise SettingsError(setting, problem, "Give 's3://BUCKET/PREFIX', or a folder: a path, or 'file:///' and a path.")
