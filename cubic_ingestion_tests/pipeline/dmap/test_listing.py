"""Reading a list that has no total, and may change on the way."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pytest

from cubic_ingestion.domain.feed import BadItem, Dataset, Offer
from cubic_ingestion.pipeline.dmap.listing import MOST_READINGS, read_list
from cubic_ingestion_tests.builders import NOON

DAY = date(2022, 3, 4)


def an_offer(number: int, *, minutes: int = 0, link: str = "https://a/1") -> Offer:
    """Build an offer of a data set with a number."""
    return Offer(Dataset("t", f"d{number}", DAY, DAY, NOON + timedelta(minutes=minutes)), link)


class Vendor:
    """A list that changes between pages, as it is told to."""

    def __init__(self, items: Sequence[Offer | BadItem], page_size: int = 100) -> None:
        self.items = list(items)
        self.page_size = page_size
        self.n_pages = 0
        self.after_page: dict[int, Callable[[], None]] = {}

    def page(self, offset: int) -> Sequence[Offer | BadItem]:
        """Return a page, then let happen what is to."""
        page = self.items[offset : offset + self.page_size]
        self.n_pages += 1
        self.after_page.get(self.n_pages, lambda: None)()
        return page

    def restate(self, number: int) -> None:
        """Move a data set to the end, with a newer time."""
        self.items = [
            item for item in self.items if not (isinstance(item, Offer) and item.dataset == an_offer(number).dataset)
        ]
        self.items.append(an_offer(number, minutes=1))


@pytest.mark.parametrize("n_items", [0, 1, 2, 99, 100, 101, 250, 1500])
def test_every_item_is_seen_however_many_there_are_and_all_of_one_time(n_items: int) -> None:
    offers = [an_offer(number) for number in range(n_items)]
    assert read_list(Vendor(offers).page).newest() == offers


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 1000])
def test_the_vendor_says_how_many_items_a_page_has(page_size: int) -> None:
    offers = [an_offer(number) for number in range(20)]
    assert read_list(Vendor(offers, page_size).page).newest() == offers


def test_m2_a_list_that_shifts_between_two_pages_is_read_again() -> None:
    vendor = Vendor([an_offer(number) for number in range(250)])
    vendor.after_page[1] = lambda: vendor.restate(3)  # what was item 100 is item 99 now, and on no page that is read
    listing = read_list(vendor.page)
    assert {offer.dataset for offer in listing.newest()} == {
        an_offer(number, minutes=int(number == 3)).dataset for number in range(250)
    }
    assert listing.trouble is None


def test_a_list_that_never_stands_still_is_not_read_for_ever() -> None:
    vendor = Vendor([an_offer(number) for number in range(250)])
    vendor.after_page = {n: lambda n=n: vendor.restate(n) for n in range(100)}
    listing = read_list(vendor.page)
    assert "shifted" in (listing.trouble or "")
    assert vendor.n_pages <= 4 * MOST_READINGS


def test_an_api_that_ignores_the_offset_is_noticed() -> None:
    page = [an_offer(number) for number in range(100)]
    listing = read_list(lambda _offset: page)
    assert listing.newest() == page
    assert listing.trouble


def test_an_api_that_says_the_same_again_and_again_is_not_asked_for_ever() -> None:
    assert read_list(lambda _offset: [an_offer(1), an_offer(1)]).newest() == [an_offer(1)]


def test_of_two_versions_of_a_data_set_the_newer_counts_and_of_two_links_the_later_seen() -> None:
    offers = [an_offer(1, minutes=5), an_offer(2), an_offer(1), an_offer(2, link="https://a/2")]
    newest = read_list(Vendor(offers).page).newest()
    assert [(offer.dataset.identifier, offer.dataset.last_updated_at) for offer in newest] == [
        ("d2", NOON),
        ("d1", NOON + timedelta(minutes=5)),
    ]
    assert newest[0].url == "https://a/2"


def test_bad_items_are_named_and_the_others_taken() -> None:
    bad = BadItem("d9", "it has no url", NOON)
    listing = read_list(Vendor([an_offer(1), bad, an_offer(2)], page_size=2).page)
    assert listing.newest() == [an_offer(1), an_offer(2)]
    assert list(listing.bad_items.values()) == [bad]
