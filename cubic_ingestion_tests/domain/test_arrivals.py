"""Expected arrivals: what each rule says, and what it leaves alone."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

import pytest

from cubic_ingestion.domain.arrivals import (
    MIN_DAYS,
    MIN_GAPS,
    SHORTEST_SILENCE,
    DeliveredDay,
    habit,
    in_words,
    missing_counters,
    missing_days,
    same_stretch_of_past_weeks,
)

FRIDAY = date(2022, 3, 4)
NOON = datetime(2022, 3, 4, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def delivered(days: Iterable[date], delay: timedelta = 15 * HOUR) -> dict[date, DeliveredDay]:
    """Let each day's data come so long after its end."""
    return {day: DeliveredDay(datetime.combine(day + DAY, time(), UTC) + delay) for day in days}


def before(last: date, n_days: int) -> list[date]:
    """Return ``n_days`` days in a row that end with ``last``."""
    return [last - n * DAY for n in reversed(range(n_days))]


def at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), UTC)


def test_a_day_between_others_that_did_not_come_is_missing() -> None:
    days = before(FRIDAY, 20)
    assert missing_days(delivered(day for day in days if day != days[5]), at(FRIDAY + DAY, 16)) == [days[5]]


def test_the_day_that_is_due_is_missing_only_after_its_usual_delay_and_a_day() -> None:
    known = delivered(before(FRIDAY, 20))
    due = at(FRIDAY + 3 * DAY, 15)  # Saturday's data: 15 hours after Saturday, and a day
    assert missing_days(known, due - MINUTE) == []
    assert missing_days(known, due) == [FRIDAY + DAY]


def test_one_late_day_does_not_excuse_another() -> None:
    known = delivered(before(FRIDAY, 20))
    late = FRIDAY - 3 * DAY
    known[late] = DeliveredDay(known[late].arrived_at + 10 * DAY)
    assert missing_days(known, at(FRIDAY + 4 * DAY, 0)) == [FRIDAY + DAY]


def test_weekends_are_not_missed_where_none_ever_comes() -> None:
    weekdays = [day for day in before(FRIDAY, 40) if day.weekday() < 5]
    assert missing_days(delivered(weekdays), at(FRIDAY + 4 * DAY, 16)) == []
    assert missing_days(delivered(weekdays), at(FRIDAY + 5 * DAY, 16)) == [FRIDAY + 3 * DAY]


def test_a_rejected_day_was_delivered_and_has_no_data() -> None:
    known = delivered(before(FRIDAY, 20))
    rejected = [FRIDAY - 5 * DAY, FRIDAY]
    known |= {day: DeliveredDay(known[day].arrived_at, is_rejected=True) for day in rejected}
    assert missing_days(known, at(FRIDAY + DAY, 16)) == rejected
    sundays = [day for day in before(FRIDAY, 20) if day.weekday() == 6]
    known |= {day: DeliveredDay(known[day].arrived_at, is_rejected=True) for day in sundays}
    assert missing_days(known, at(FRIDAY + DAY, 16)) == sorted({*rejected, *sundays})


def test_a_weekday_that_often_lacks_data_still_belongs_to_the_habit() -> None:
    days = before(FRIDAY, 21)
    thursdays = [day for day in days if day.weekday() == 3]
    known = delivered(day for day in days if day not in thursdays[1:])
    assert missing_days(known, at(FRIDAY + DAY, 16)) == thursdays[1:]


def test_one_file_for_a_weekend_makes_no_habit_of_weekends() -> None:
    days = [day for day in before(FRIDAY, 60) if day.weekday() < 5]
    assert missing_days(delivered([*days, FRIDAY - 6 * DAY]), at(FRIDAY + DAY, 16)) == []


def test_a_monthly_table_and_a_young_one_have_no_daily_habit() -> None:
    months = [date(2021, month, 1) for month in range(1, 13)]
    later = at(FRIDAY + 365 * DAY, 0)
    assert missing_days(delivered(months), later) == []
    assert missing_days(delivered(before(FRIDAY, MIN_DAYS - 1)), later) == []
    assert missing_days({}, later) == []


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["00000001", "00000003"], ["00000002"]),
        (["1", "2", "3"], []),
        (["001"], []),
        ([f"{n:08d}" for n in range(1, 13)], []),  # decimal
        ([f"{n:08X}" for n in range(1, 19)], []),  # hexadecimal
        ([f"{n:08X}" for n in range(1, 19) if n != 10], ["0000000A"]),
        ([f"{n:03d}" for n in range(1, 13) if n not in {4, 11}], ["004", "011"]),
        (["00000001", "00000001", "00000002"], []),  # two versions of one file
        (["1", "FFFFFFFF"], []),  # not the counters of one load
    ],
)
def test_a_gap_in_the_counters_of_a_full_load_is_found(names: list[str], missing: list[str]) -> None:
    assert missing_counters([("", name) for name in names]) == missing


def test_each_segment_counts_for_itself_from_where_it_begins() -> None:
    assert missing_counters([("1", "01"), ("1", "02"), ("2", "05"), ("2", "07")]) == ["2_06"]


def test_a_habit_is_the_tables_own_and_one_outage_does_not_change_it() -> None:
    steady = [NOON - n * 5 * MINUTE for n in range(101)]
    with_outage = [*steady[:50], *(moment - 3 * DAY for moment in steady[50:])]
    hourly = [NOON - n * 5 * HOUR for n in range(101)]
    found = habit(steady)
    assert found
    assert (found.median_gap, found.limit) == (5 * MINUTE, SHORTEST_SILENCE)
    assert habit(with_outage) == found
    longer = habit(hourly)
    assert longer
    assert longer.limit == 15 * HOUR


def test_files_of_one_moment_count_once_and_few_make_no_habit() -> None:
    assert habit([NOON] * 50) is None
    assert habit([NOON - n * HOUR for n in range(MIN_GAPS)]) is None
    assert habit([NOON - n * HOUR for n in range(MIN_GAPS + 1)]) is not None


def test_a_silence_is_compared_with_the_same_hours_of_four_weeks_and_a_long_one_with_nothing() -> None:
    stretches = same_stretch_of_past_weeks(NOON - HOUR, NOON)
    assert stretches == [(NOON - HOUR - n * 7 * DAY, NOON - n * 7 * DAY) for n in (1, 2, 3, 4)]
    assert same_stretch_of_past_weeks(NOON - 7 * DAY, NOON) == []


def test_many_runs_of_days_are_cut_to_the_last() -> None:
    days = [FRIDAY - n * 2 * DAY for n in reversed(range(5))]
    assert in_words(days) == "2 more before, 2022-02-28, 2022-03-02, 2022-03-04"
