"""The vendor's REST API, as the DMAP fetcher sees it."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import NamedTuple, Protocol

from cubic_ingestion.domain.feed import BadItem, Feed, Offer


class Body(NamedTuple):
    """A file on its way."""

    chunks: Iterator[bytes]
    """Its bytes as they come; taking the next one may raise ``FeedUnavailableError``."""
    size_bytes: int | None
    """How many there should be, if the server says so."""


class FeedClient(Protocol):
    """The vendor's REST API. It tries once; whether to try again is the caller's to say."""

    def page(self, feed: Feed, *, since: date, offset: int) -> Sequence[Offer | BadItem]:
        """Return what a feed lists from ``offset`` on, as much as the vendor gives at once; nothing behind the end.

        Raises:
            FeedUnavailableError: The API refused or dropped the request, or its answer is no list.
            SettingsError: The API does not know the key, or the address.
        """
        ...

    def download(self, offer: Offer) -> AbstractContextManager[Body]:
        """Open a data set's file.

        Raises:
            LinkExpiredError: Its link is too old.
            FeedUnavailableError: The server refused or dropped the request.
        """
        ...


class LinkExpiredError(Exception):
    """A signed link is accepted no longer; a new listing has a fresh one."""
