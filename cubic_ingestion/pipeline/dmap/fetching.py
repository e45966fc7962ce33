"""The DMAP fetcher: what a feed offers and the ledger does not know is brought to Incoming.

New is a data set that is not on record, or is with an older ``last_updated``; time alone never says so. A file is on
record only once it stands in Incoming, so a crash repeats no more than what was under way. A feed is listed until
nothing that is new in it can be had, each time with fresh links.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial

from cubic_ingestion.domain.feed import (
    FIRST_DAY,
    BadItem,
    Dataset,
    Feed,
    FeedOutcome,
    FeedProgress,
    FetchedDataset,
    Offer,
)
from cubic_ingestion.errors import InvalidKeyError, RetriableError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.pipeline.dmap.download import download
from cubic_ingestion.pipeline.dmap.downloads import Downloads
from cubic_ingestion.pipeline.dmap.listing import Listing, read_list
from cubic_ingestion.pipeline.dmap.retrying import Patience, patiently
from cubic_ingestion.pipeline.heartbeat import Heartbeat
from cubic_ingestion.pipeline.release import release_dead
from cubic_ingestion.pipeline.tries import last_resort
from cubic_ingestion.ports import Clock, FeedClient, ObjectStore

OVERLAP = timedelta(days=2)
"""How far before the newest known data set a feed is listed again. Whether the vendor's bound is inclusive, whether it
takes a time, and of which zone, is not known."""

MOST_TRIES = 3
"""How often one fetch asks for one file, each time with a fresh link."""

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How long and how much, from the settings."""

    parallel_downloads: int
    lease_seconds: int
    patience: Patience


@dataclass(slots=True)
class FetchReport:
    """What a fetch of one feed came to."""

    feed: Feed
    is_held_elsewhere: bool = False
    """Another fetches it right now; nothing was done."""
    n_listed: int = 0
    """Data sets in the feed's list, back to where it was read from."""
    fetched: list[FetchedDataset] = field(default_factory=list[FetchedDataset])
    waiting: list[Dataset] = field(default_factory=list[Dataset])
    """Restated while the version before is not archived yet; they are taken once it is."""
    problems: list[str] = field(default_factory=list[str])
    """What could not be had, and why; it is asked for again by the next fetch."""
    last_updated_at: datetime | None = None
    """Every data set up to then is fetched."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Everything that fetching needs; built by ``bootstrap``."""

    client: FeedClient
    ledger: Ledger
    incoming: ObjectStore
    clock: Clock
    limits: FetchLimits
    owner: str
    """Unique among all fetchers that are running."""

    def fetch(self, feed: Feed, since: date | None = None) -> FetchReport:
        """Bring what is new in a feed to Incoming.

        Args:
            feed: The feed.
            since: From which ``last_updated`` on it is listed; by itself, shortly before what was fetched last.

        Raises:
            RetriableError: Its list could not be read, or something else kept all of it from being fetched.
            SettingsError: The API does not know the key, or the address.
        """
        report, now = FetchReport(feed), self.clock.now()
        expires_at = now + timedelta(seconds=self.limits.lease_seconds)
        release_dead(self.ledger, now)
        state = self.ledger.feeds.lease(feed.relative_url, self.owner, now=now, expires_at=expires_at)
        if state is None:
            report.is_held_elsewhere = True
            return report
        outcome: FeedOutcome | None = None
        try:
            with last_resort():
                outcome = self._fetch(report, state, since, now)
        except RetriableError as error:
            outcome = FeedOutcome(now, None, 1, str(error))
            raise
        finally:
            self.ledger.feeds.release(feed.relative_url, self.owner, outcome)
        return report

    def _fetch(self, report: FetchReport, state: FeedProgress, since: date | None, now: datetime) -> FeedOutcome:
        usual = first_day(state.last_updated_at)
        since = usual if since is None else since
        heartbeat = Heartbeat(self.clock, self.limits.lease_seconds)
        renew = partial(self.ledger.feeds.renew, report.feed.relative_url, self.owner)
        listing, missing = self._fetch_new(report, since, lambda: heartbeat.beat(renew) is not False)
        report.n_listed = len(listing)
        report.problems = _problems(listing, missing)
        held_back = [item.last_updated_at for item in listing.bad_items.values()]
        held_back += [dataset.last_updated_at for dataset in (*missing, *report.waiting)]
        if not listing.trouble and since <= usual:
            report.last_updated_at = _all_fetched_until(listing, held_back, now)
        problems = report.problems
        return FeedOutcome(now, report.last_updated_at, len(problems), problems[0] if problems else None)

    def _fetch_new(
        self, report: FetchReport, since: date, keep_lease: Callable[[], bool]
    ) -> tuple[Listing, Mapping[Dataset, str]]:
        """List and fetch until nothing that is new can be had; return the last listing, and what is missing of it."""
        tries: Counter[Dataset] = Counter()
        why: dict[Dataset, str] = {}
        while True:
            listing = self._list(report.feed, since)
            new, report.waiting, unclear = self._new(report.feed, listing)
            wanted = [offer for offer in new if tries[offer.dataset] < MOST_TRIES]
            wanted.sort(key=lambda offer: tries[offer.dataset])
            if not wanted or not keep_lease():
                not_had = {offer.dataset: why.get(offer.dataset, "it was not asked for") for offer in new}
                return listing, not_had | unclear
            downloads = Downloads(lambda offer: self._fetch_file(report.feed, offer), keep_lease)
            downloads.run(wanted, self.limits.parallel_downloads)
            tries.update({offer.dataset for offer in wanted}.difference(downloads.not_begun))
            why |= downloads.missing
            report.fetched += downloads.fetched

    def _fetch_file(self, feed: Feed, offer: Offer) -> FetchedDataset:
        def bring() -> FetchedDataset:
            return download(self.client, self.incoming, self.ledger, offer, feed.table)

        fetched = patiently(bring, self.limits.patience)
        self.ledger.feeds.record(feed.relative_url, fetched)
        return fetched

    def _list(self, feed: Feed, since: date) -> Listing:
        def read_page(offset: int) -> Sequence[Offer | BadItem]:
            return patiently(lambda: self.client.page(feed, since=since, offset=offset), self.limits.patience)

        return read_list(read_page)

    def _new(self, feed: Feed, listing: Listing) -> tuple[list[Offer], list[Dataset], dict[Dataset, str]]:
        """Sort what is not on record.

        Returns:
            What can be taken; what has to wait; and, with the reason, of which of the two a data set is cannot be said.
        """
        known = self.ledger.feeds.datasets(feed.relative_url)
        new: list[Offer] = []
        waiting: list[Dataset] = []
        unclear: dict[Dataset, str] = {}
        for offer in listing.newest():
            before = known.get(offer.dataset.identifier)
            if before and offer.dataset.last_updated_at <= before.dataset.last_updated_at:
                continue
            try:
                with last_resort():
                    is_in_the_way = before is not None and self._is_in_incoming(before)
            except (RetriableError, InvalidKeyError) as error:
                unclear[offer.dataset] = str(error)
                continue
            if is_in_the_way:
                waiting.append(offer.dataset)
            else:
                new.append(offer)
        return new, waiting, unclear

    def _is_in_incoming(self, before: FetchedDataset) -> bool:
        """Say whether a version still lies where the next one will, which would overwrite it."""
        standing = before.key and self.incoming.head(before.key)
        return bool(standing) and standing.etag == before.etag


def first_day(last_updated_at: datetime | None) -> date:
    """Return from when on to list a feed of which everything up to a moment is fetched."""
    return FIRST_DAY if last_updated_at is None else (last_updated_at - OVERLAP).date()


def _problems(listing: Listing, missing: Mapping[Dataset, str]) -> list[str]:
    problems = [f"Item {item.name!r} of the list is no data set: {item.problem}" for item in listing.bad_items.values()]
    problems += [f"Data set {dataset.identifier!r} is missing: {why}" for dataset, why in missing.items()]
    return problems + ([f"There may be more: {listing.trouble}."] if listing.trouble else [])


def _all_fetched_until(listing: Listing, held_back: list[datetime | None], now: datetime) -> datetime | None:
    """Return up to when everything is fetched; None if that cannot be told."""
    if None in held_back:
        return None
    newest = [offer.dataset.last_updated_at for offer in listing.offers.values()]
    before_held_back = [moment - _MOMENT for moment in held_back if moment]
    return min([max(newest, default=datetime.min.replace(tzinfo=UTC)), now, *before_held_back]) if newest else None
