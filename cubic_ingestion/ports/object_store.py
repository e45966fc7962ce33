"""A bucket, as the pipeline sees it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from cubic_ingestion.domain.load import ObjectVersion


@dataclass(frozen=True, slots=True)
class Committed:
    """The version that a commit published."""

    etag: str
    size_bytes: int


class ObjectWriter(Protocol):
    """An object being written. Nothing is visible under its key until ``commit``; leaving without it discards all."""

    @property
    def file(self) -> BinaryIO:
        """Where the bytes go."""
        ...

    def commit(self) -> Committed:
        """Publish what was written under the key, atomically, replacing what was there."""
        ...


TellSkipped = Callable[[str, str], object]
"""Called with the key of what a listing passes over, and why that is no object."""


class ObjectStore(Protocol):
    """A bucket: a local folder or S3.

    Every method raises ``StoreUnavailableError`` for what may pass, and ``ObjectDeniedError`` for an object that this
    process may not use. Only a plain "no such object" ever counts as absent.
    """

    def require(self) -> None:
        """Make sure that the bucket is there and can be listed; the other methods take a missing one for empty.

        Raises:
            BucketMissingError: It is not there, or this process may not list it.
        """
        ...

    def list(
        self, prefix: str, *, after: str = "", skipped: TellSkipped | None = None
    ) -> Iterator[Sequence[ObjectVersion]]:
        """Yield the objects whose keys start with ``prefix`` and follow ``after``, page by page, at most 1,000 a page.

        The order is the store's own, the same in every listing, so that ``after`` a key that came all is told.

        Args:
            prefix: What the keys start with.
            after: Where to go on.
            skipped: Called for everything between the objects that is none, before the page that follows it.

        Raises:
            UnlistedFoldersError: Some folders below could not be listed; raised after the objects of all others.
        """
        ...

    def prefixes(self, prefix: str) -> Sequence[str]:
        """Return the folders directly below ``prefix``, each ending with ``/``."""
        ...

    def head(self, key: str) -> ObjectVersion | None:
        """Return the current version of an object, or None if there is none."""
        ...

    def open(self, key: str, etag: str | None = None) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading; the file is seekable, since some records need a second look.

        Raises:
            ObjectMissingError: There is no such object.
            ObjectChangedError: It is not the version ``etag`` names.
        """
        ...

    def writer(self, key: str) -> AbstractContextManager[ObjectWriter]:
        """Open an object for writing."""
        ...

    def delete(self, key: str, etag: str) -> None:
        """Remove that version of an object; one that is gone already is no error.

        Raises:
            ObjectChangedError: Another version stands under the key; it stays.
        """
        ...

    def uri(self, key: str) -> str:
        """Return the object's address with its scheme, for people and engines."""
        ...


class BucketMissingError(Exception):
    """The bucket itself is not there, or may not be listed; what is wrong, and what to do."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem} {fix}")


class ObjectMissingError(Exception):
    """There is no object under the key."""


class ObjectChangedError(Exception):
    """The object under the key is another version than the one asked for."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The four zones."""

    incoming: ObjectStore
    archive: ObjectStore
    error: ObjectStore
    springboard: ObjectStore
