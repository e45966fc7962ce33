"""Expected arrivals: what should have come by now, judged by a table's own past and by the counters in file names.

All rules are robust against single odd values (medians and quantiles, never means), need some history before they say
anything, and work on the source's own times where the source gives them, so that a backfill does not blur a habit.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from statistics import median, quantiles

LOOKBACK = timedelta(days=90)
"""Days further back are not asked for."""

MIN_DAYS = 8
"""A table has a daily habit only if it has data of at least so many days."""

MIN_GAPS = 10
"""A table has a habit of arriving only if it came at least so often, and once more."""

MAX_GAPS = 100
"""Only so many gaps between arrivals are looked at, the latest."""

SHORTEST_SILENCE = timedelta(hours=1)
"""No silence is noticed before this, however busy a table is."""

QUIET = timedelta(hours=1)
"""A full load has a gap only if no file of it came for so long: its files are uploaded in any order."""

_RECENT_DAYS = 14
_GRACE = timedelta(days=1)
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_WEEKS = 4
_LEAST_SHARE = 1 / 4
"""Share of the Mondays, for example, that had files, if Mondays belong to the habit."""
_DAYS_SHOWN = 3
_MOST_COUNTERS = 1_000_000
"""What is further apart does not count the files of one load."""


@dataclass(frozen=True, slots=True)
class Habit:
    """How often a table's files come."""

    median_gap: timedelta
    """Half of the gaps between two arrivals are shorter."""
    limit: timedelta
    """A silence that is longer is not what the table is used to: three times the gap that 95 of 100 stay below."""


def habit(arrived_at: Collection[datetime]) -> Habit | None:
    """Derive the habit of a table from the source times of its latest files; None if they are too few.

    The gaps between files that came at different times are sorted, and their median and 95 % quantile taken. One long
    outage in the past moves neither.
    """
    times = sorted(set(arrived_at))[-(MAX_GAPS + 1) :]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    if len(gaps) < MIN_GAPS:
        return None
    usual = quantiles(gaps, n=20, method="inclusive")[-1]
    return Habit(timedelta(seconds=median(gaps)), max(timedelta(seconds=3 * usual), SHORTEST_SILENCE))


def same_stretch_of_past_weeks(since: datetime, now: datetime) -> list[tuple[datetime, datetime]]:
    """Return the stretches, one in each of the four weeks before, that correspond to a silence of less than a week.

    Nights, weekends and the like are silent every week: what is silent now was heard in most of these stretches, or it
    is no news. A silence of a week and more has no such excuse, and none is returned.
    """
    if now - since >= _WEEK:
        return []
    return [(since - week * _WEEK, now - week * _WEEK) for week in range(1, _WEEKS + 1)]


@dataclass(frozen=True, slots=True)
class DeliveredDay:
    """What came of one day of data."""

    arrived_at: datetime
    """When its first file came."""
    is_rejected: bool = False
    """Every file of it is in Error, or on its way there: the day has no data."""


def missing_days(delivered: Mapping[date, DeliveredDay], now: datetime) -> list[date]:
    """Find days without data in a table that has data of every day, or of every working day, oldest first.

    The habit is daily if the median step from one delivered day to the next is one day. A day of the week belongs to
    it if files came for at least a quarter of these days between the first and the last that were delivered: fewer are
    an exception, as a file for one Sunday is. A day is due once the median delay of the latest 14 days (from the end
    of a day to its first arrival) has passed, and another day. A rejected day was delivered, and is missing.

    Args:
        delivered: What came, by the day of its data.
        now: The present moment.
    """
    first_arrivals = {day: each.arrived_at for day, each in delivered.items()}
    known = sorted(first_arrivals)
    steps = [(later - earlier).days for earlier, later in pairwise(known)]
    if len(known) < MIN_DAYS or median(steps) != 1:
        return []
    delays = [first_arrivals[day] - _end(day) for day in known[-_RECENT_DAYS:]]
    delay = timedelta(seconds=median(each.total_seconds() for each in delays))
    weekdays = _weekdays(known)
    until = (now - max(delay, timedelta(0)) - _GRACE).date() - _DAY  # the last day that ended by then
    days = _days(known[0], max(until, known[-1]))
    rejected = {day for day, each in delivered.items() if each.is_rejected}
    return [day for day in days if day in rejected or (day not in delivered and day.weekday() in weekdays)]


def missing_counters(counters: Iterable[tuple[str, str]]) -> list[str]:
    """Find the gaps in the counters of one full load, as texts like those that are there.

    Counters are decimal or hexadecimal, and 10 does not say which. With a letter anywhere they are hexadecimal, else
    whatever leaves fewer gaps. Each segment of a parallel load counts for itself, from where it begins.

    Args:
        counters: Segment (empty if there are none) and counter of each file.
    """
    by_segment: dict[str, set[str]] = {}
    for segment, counter in counters:
        by_segment.setdefault(segment, set()).add(counter)
    return [text for segment, texts in sorted(by_segment.items()) for text in _gaps(segment, texts)]


def in_words(days: Sequence[date]) -> str:
    """Word days, runs of days as a range.

    >>> in_words([date(2022, 3, 4), date(2022, 3, 7), date(2022, 3, 8)])
    '2022-03-04, 2022-03-07 to 2022-03-08'
    """
    runs: list[tuple[date, date]] = []
    for day in days:
        if runs and day - runs[-1][1] == _DAY:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    words = [f"{first}" if first == last else f"{first} to {last}" for first, last in runs[-_DAYS_SHOWN:]]
    return ", ".join(([f"{len(runs) - _DAYS_SHOWN} more before"] if len(runs) > _DAYS_SHOWN else []) + words)


def _gaps(segment: str, texts: Collection[str]) -> list[str]:
    is_hexadecimal = any(not text.isdecimal() for text in texts)
    readings = [16] if is_hexadecimal else [10, 16]
    missing, base = min(((_missing(texts, base), base) for base in readings), key=lambda reading: len(reading[0]))
    width = max(Counter(map(len, texts)).items(), key=lambda item: item[1])[0]
    form = "d" if base == 10 else "X"  # noqa: PLR2004 - the two readings above
    return [(f"{segment}_" if segment else "") + f"{number:0{width}{form}}" for number in missing]


def _missing(texts: Collection[str], base: int) -> list[int]:
    present = {int(text, base) for text in texts}
    if max(present) - min(present) > _MOST_COUNTERS:
        return []
    return sorted(set(range(min(present), max(present))) - present)


def _weekdays(known: Sequence[date]) -> set[int]:
    have = Counter(day.weekday() for day in known)
    there_were = Counter(day.weekday() for day in _days(known[0], known[-1]))
    return {weekday for weekday, n_days in there_were.items() if have[weekday] >= n_days * _LEAST_SHARE}


def _days(first: date, last: date) -> Iterator[date]:
    return (first + n * _DAY for n in range((last - first).days + 1))


def _end(day: date) -> datetime:
    return datetime.combine(day + _DAY, time(), UTC)
