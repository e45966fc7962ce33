"""The vendor's data sets, and which of them a list shows."""

import csv
import gzip
import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

Rows = Sequence[Mapping[str, object]]
"""Records by column; all have the columns of the first."""


@dataclass(frozen=True)
class ListRules:
    """What no source tells of the vendor's list, or what differed over the years: a client copes with all of it."""

    is_inclusive: bool = True
    """A data set of just the moment asked for is listed."""
    compares_days: bool = False
    """Of the moment asked for, only its day counts."""
    offset_works: bool = True
    """Before 2025, ``offset`` had no effect."""
    is_ascending: bool = True
    """The order seems to be that of ``last_updated``, which nobody promised."""
    page_size: int = 100
    """Most results of one answer; a larger ``limit`` is ignored."""


@dataclass(frozen=True)
class DataSet:
    """One version of a data set. Its times are texts, so that a test may choose their form, or wrong ones."""

    feed_url: str
    data_set_type: str
    dataset_id: str
    body: bytes
    start_date: str
    end_date: str
    last_updated: str

    def item(self, url: str) -> dict[str, str]:
        """Return the data set as the list shows it, with a link to its file."""
        return {
            "id": self.data_set_type,
            "dataset_id": self.dataset_id,
            "url": url,
            "start_date": self.start_date,
            "end_date": self.end_date,
            "last_updated": self.last_updated,
        }


class DataSets:
    """The newest version of each data set, by feed; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._feeds: dict[str, dict[str, DataSet]] = {}

    def put(self, data_set: DataSet) -> None:
        """Add a data set, or put a newer version in the place of one."""
        with self._lock:
            feed = self._feeds.setdefault(data_set.feed_url, {})
            feed.pop(data_set.dataset_id, None)  # to the end: of equal times, what came first is listed first
            feed[data_set.dataset_id] = data_set

    def restate(self, feed_url: str, dataset_id: str, body: bytes, last_updated: str) -> None:
        """Put other bytes and a newer time in the place of a data set.

        Raises:
            LookupError: There is none to restate.
        """
        with self._lock:
            feed = self._feeds.get(feed_url, {})
            if dataset_id not in feed:
                raise LookupError(f"Feed '{feed_url}' has no data set '{dataset_id}' to restate; publish it first.")
            feed[dataset_id] = replace(feed.pop(dataset_id), body=body, last_updated=last_updated)

    def page(self, feed_url: str, asked: Mapping[str, str], rules: ListRules) -> list[DataSet]:
        """Return the data sets of one answer; none of a feed that nothing was published to.

        Raises:
            ValueError: A parameter has no sense.
        """
        limit = int(asked.get("limit", rules.page_size))
        offset = int(asked.get("offset", 0)) if rules.offset_works else 0
        since = moment(asked["last_updated"]) if "last_updated" in asked else datetime.min  # noqa: DTZ901 - naive, as the API's
        if limit < 1 or offset < 0 or since is None:
            raise ValueError(f"no such page: {dict(asked)}")
        with self._lock:
            all_of_it = list(self._feeds.get(feed_url, {}).values())
        shown = [one for one in all_of_it if _is_since(one, since, rules) and _is_within(one, asked)]
        shown.sort(key=_moment_or_last, reverse=not rules.is_ascending)
        return shown[offset : offset + min(limit, rules.page_size)]


def moment(text: str) -> datetime | None:
    """Read a time, naive and in UTC as the API has it; none if it is not one."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read


def csv_gz(rows: Rows, columns: Sequence[str] | None = None) -> bytes:
    """Write records as the vendor does: CSV with a header, compressed. None is an empty field.

    Args:
        rows: The records; with none, the file has only its header.
        columns: Columns in the file's order; those of the first record if not given.

    Raises:
        ValueError: There are neither records nor columns.
    """
    if columns is None and not rows:
        raise ValueError("A file without records needs its columns: csv_gz([], columns).")
    text = io.StringIO()
    names = list(columns if columns is not None else rows[0])
    out = csv.DictWriter(text, names, lineterminator="\n")
    out.writeheader()
    out.writerows(rows)
    return gzip.compress(text.getvalue().encode(), mtime=0)


def _moment_or_last(data_set: DataSet) -> datetime:
    return moment(data_set.last_updated) or datetime.max  # noqa: DTZ901 - naive, as the API's


def _is_since(data_set: DataSet, since: datetime, rules: ListRules) -> bool:
    updated = _moment_or_last(data_set)
    if rules.compares_days:
        updated, since = (time.replace(hour=0, minute=0, second=0, microsecond=0) for time in (updated, since))
    return updated >= since if rules.is_inclusive else updated > since


def _is_within(data_set: DataSet, asked: Mapping[str, str]) -> bool:
    """Whether the period covered touches the one asked for; ISO dates are in the order of their texts."""
    starts, ends = asked.get("start_date"), asked.get("end_date")
    return (starts is None or data_set.end_date >= starts) and (ends is None or data_set.start_date <= ends)
