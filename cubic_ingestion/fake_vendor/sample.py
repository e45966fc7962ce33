"""Sample content: a few data sets of one of the vendor's feeds, one of them restated."""

from datetime import date, datetime, timedelta

from cubic_ingestion.fake_vendor.vendor import FakeVendor

SAMPLE_FEED = "/datasetpublicusersapi/aggregations/agg_daily_fareprod"
"""Path of the feed that has the sample: one of the vendor's own, so that a declared table takes it."""

_TYPE = "agg_daily_fareprod"
_FIRST_DAY = date(2023, 5, 17)
_N_DAYS = 4
_RESTATED_DAYS_LATER = 10
_SATURDAY = 5


def sample_feed(vendor: FakeVendor) -> None:
    """Publish four days, the second of which was restated ten days later: it is listed once, with its newer time."""
    for offset in range(_N_DAYS):
        day = _FIRST_DAY + timedelta(days=offset)
        covered = f"{day:%Y-%m-%d}"
        updated = datetime.combine(day + timedelta(days=1), datetime.min.time()).replace(hour=12, minute=12, second=24)
        # The vendor leaves out a fraction that is zero.
        last_updated = (updated if offset == 0 else updated.replace(microsecond=897363)).isoformat()
        vendor.publish(
            SAMPLE_FEED,
            _TYPE,
            _name(day),
            _rows(offset, 0),
            start_date=covered,
            end_date=covered,
            last_updated=last_updated,
        )
    restated_on = _FIRST_DAY + timedelta(days=_RESTATED_DAYS_LATER)
    restate_sample(vendor, 1, 1, f"{restated_on:%Y-%m-%d}T09:00:00.5")


def restate_sample(vendor: FakeVendor, offset: int, restatement: int, last_updated: str) -> str:
    """Restate a day of the sample.

    Args:
        vendor: Has the sample.
        offset: Which day, counted from 0; beyond the last, from the first again.
        restatement: Which restatement of the day; it is in the counts.
        last_updated: When, as the list words it.

    Returns:
        The data set's name.
    """
    name = _name(_FIRST_DAY + timedelta(days=offset % _N_DAYS))
    vendor.restate(SAMPLE_FEED, name, _rows(offset % _N_DAYS, restatement), last_updated=last_updated)
    return name


def _name(day: date) -> str:
    return f"fareprod_{day:%Y%m%d}"


def _rows(offset: int, restatement: int) -> list[dict[str, object]]:
    day = _FIRST_DAY + timedelta(days=offset)
    return [
        {
            "date": f"{day:%Y-%m-%d}",
            "service": service,
            "day_of_week": f"{day:%A}",
            "rider_class_name": "Full fare",
            "fare_product_type": "Stored value",
            "ride_type_name": "Regular",
            "count": count + 100 * restatement,
            "weekend": int(day.weekday() >= _SATURDAY),
        }
        for service, count in (("Bus", 410 + offset), ("Rapid transit", 950 + offset))
    ]
