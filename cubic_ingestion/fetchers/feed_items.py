"""Items of a feed's list: data sets, or what is wrong with them.

An item becomes part of a key in Incoming and a request to a server, so nothing in it is believed.
"""

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from cubic_ingestion.domain.feed import BadItem, Dataset, Feed, Offer

_SHOWN = 100
_IDENTIFIER = re.compile(r"\w[\w.-]{0,199}", re.ASCII)


class _Item(msgspec.Struct):
    id: str
    dataset_id: str
    url: str
    start_date: date
    end_date: date
    last_updated: datetime


def read_item(item: object, feed: Feed, *, http_host: str | None = None) -> Offer | BadItem:
    """Read one item as JSON has it.

    Args:
        item: The item.
        feed: Whose list it is of.
        http_host: The one host that a link may lead to without encryption.
    """
    try:
        read = msgspec.convert(item, _Item)
    except msgspec.ValidationError as error:
        return _bad(item, str(error))
    if problem := _problem(read, feed, http_host):
        return _bad(item, problem)
    updated_at = _utc(read.last_updated)
    return Offer(Dataset(read.id, read.dataset_id, read.start_date, read.end_date, updated_at), read.url)


def _problem(item: _Item, feed: Feed, http_host: str | None) -> str | None:
    if item.id != feed.type:
        return f"its 'id' is {item.id[:_SHOWN]!r}, and the feed's is {feed.type!r}"
    if not _IDENTIFIER.fullmatch(item.dataset_id):
        return "its 'dataset_id' is no file name of letters, digits, '_', '-' and '.'"
    if item.end_date < item.start_date:
        return "its 'end_date' is before its 'start_date'"
    return None if _is_link(item.url, http_host) else "its 'url' is no https link"


def _is_link(url: str, http_host: str | None) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == http_host)
    return is_safe and bool(parts.hostname) and len(parts.path) > 1


def _bad(item: object, problem: str) -> BadItem:
    fields = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    updated_at = None
    with suppress(msgspec.ValidationError):
        updated_at = _utc(msgspec.convert(fields.get("last_updated"), datetime))
    name = fields.get("dataset_id") or msgspec.json.encode({**fields, "url": "…"} if fields else item).decode()
    return BadItem(str(name)[:_SHOWN], problem, updated_at)


def _utc(moment: datetime) -> datetime:
    """Read a time without a zone as UTC, as the vendor means it."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
