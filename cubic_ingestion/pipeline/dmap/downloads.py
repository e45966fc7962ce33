"""Some files at once, each on record as soon as it stands in Incoming; trouble with one does not stop the others."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cubic_ingestion.domain.feed import Dataset, FetchedDataset, Offer
from cubic_ingestion.errors import InvalidKeyError, RetriableError
from cubic_ingestion.pipeline.tries import last_resort
from cubic_ingestion.ports import LinkExpiredError

Fetch = Callable[[Offer], FetchedDataset]
"""Brings one file to Incoming, and puts it on record."""


@dataclass(slots=True)
class Downloads:
    """The files of one listing. Once a link has expired, no more are begun: the others are about as old.

    Attributes:
        fetched: What is in Incoming, and on record.
        missing: What is not, and why.
        not_begun: What was not asked for.
    """

    fetch: Fetch
    keep_lease: Callable[[], bool]
    """Called after each file; False if another has the feed."""
    fetched: list[FetchedDataset] = field(default_factory=list[FetchedDataset])
    missing: dict[Dataset, str] = field(default_factory=dict[Dataset, str])
    not_begun: list[Dataset] = field(default_factory=list[Dataset])
    _is_stopped: bool = False

    def run(self, offers: Sequence[Offer], at_once: int) -> None:
        """Fetch some files.

        Args:
            offers: The files, in the order in which they are begun.
            at_once: How many at the same time.
        """
        with ThreadPoolExecutor(max_workers=at_once) as pool:
            try:
                for _ in pool.map(self._one, offers):
                    self._is_stopped |= not self.keep_lease()
            finally:
                self._is_stopped = True  # whatever ended this, ends what has not begun

    def _one(self, offer: Offer) -> None:
        if self._is_stopped:
            self.not_begun.append(offer.dataset)
            return
        try:
            with last_resort():
                self._bring(offer)
        except (RetriableError, InvalidKeyError) as error:
            self.missing[offer.dataset] = str(error)

    def _bring(self, offer: Offer) -> None:
        try:
            self.fetched.append(self.fetch(offer))
        except LinkExpiredError:
            self._is_stopped = True
            self.missing[offer.dataset] = "its link had expired"
