"""From a bucket's URL to the adapter that serves it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from cubic_ingestion.errors import SettingsError
from cubic_ingestion.ports import ObjectStore
from cubic_ingestion.storage.local_object_store import LocalObjectStore

AddressingStyle = Literal["auto", "path", "virtual"]


@dataclass(frozen=True, slots=True)
class S3Options:
    """How S3 is spoken to; credentials, region and endpoint come from AWS's own chain."""

    addressing_style: AddressingStyle = "auto"
    """Where a bucket's name stands in a URL; ``path`` for most servers that only speak as S3 does."""
    kms_key_id: str = ""
    """Key that new objects are encrypted with; the bucket's own setting if empty."""
    connections: int = 32
    """Connections that the process keeps; one that is needed beside them is closed after its request."""


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
