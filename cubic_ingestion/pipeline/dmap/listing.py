"""What a feed lists. The list has no total, no cursor, and may change while it is read.

* Pages follow each other by offset until one brings nothing new; how many items a page has is the vendor's to say.
* Each page begins with the last item of the one before. If it does not, the list has shifted, and an item may have
  slipped from one page to another unseen: the list is read again from its beginning.
* An item that is no data set is named, and the others are taken all the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cubic_ingestion.domain.feed import BadItem, Dataset, Offer

MOST_READINGS = 5
"""How often a list that shifts is read from its beginning."""

ReadPage = Callable[[int], Sequence[Offer | BadItem]]
"""Reads the page at an offset."""


@dataclass(slots=True)
class Listing:
    """What was seen of a list."""

    offers: dict[Dataset, Offer] = field(default_factory=dict[Dataset, Offer])
    """With the freshest link each."""
    bad_items: dict[str, BadItem] = field(default_factory=dict[str, BadItem])
    """By name."""
    trouble: str | None = None
    """Why there may be more in the list than was seen."""

    def newest(self) -> list[Offer]:
        """Return one offer a data set, its newest version, oldest versions first."""
        by_identifier: dict[str, Offer] = {}
        for offer in sorted(self.offers.values(), key=lambda offer: offer.dataset.last_updated_at):
            by_identifier[offer.dataset.identifier] = offer
        return sorted(by_identifier.values(), key=lambda offer: offer.dataset.last_updated_at)

    def take(self, page: Sequence[Offer | BadItem]) -> None:
        """Note a page."""
        for item in page:
            if isinstance(item, Offer):
                self.offers[item.dataset] = item
            else:
                self.bad_items[item.name] = item

    def __len__(self) -> int:
        """Count what was seen."""
        return len(self.offers) + len(self.bad_items)


def read_list(read_page: ReadPage) -> Listing:
    """Read a feed's list to its end.

    Raises:
        FeedUnavailableError: A page could not be read.
        SettingsError: The API does not know the key, or the address.
    """
    seen = Listing()
    for _ in range(MOST_READINGS):
        if _read_through(read_page, seen):
            return seen
    seen.trouble = f"the list shifted each of the {MOST_READINGS} times it was read"
    return seen


def _read_through(read_page: ReadPage, seen: Listing) -> bool:
    """Read all pages; False if the list shifted on the way."""
    reading, page, offset = Listing(), read_page(0), 0
    while page:
        n_before = len(reading)
        reading.take(page)
        seen.take(page)
        if len(reading) == n_before:  # nothing but what ended the page before
            return True
        overlap = page[-1:] if len(page) > 1 else ()
        offset += len(page) - len(overlap)
        page = read_page(offset)
        if overlap and page[:1] != overlap:
            return False
    return True
