"""The audit reads page by page, asks for few objects by themselves, and gives no false alarm while files move."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cubic_ingestion.domain.load import Load, ObjectVersion
from cubic_ingestion.ledger.records import Place
from cubic_ingestion.pipeline.audit import Audit, Finding, audit
from cubic_ingestion.pipeline.audit.findings import KEPT_FINDINGS, KEPT_FOLDERS
from cubic_ingestion.ports import TellSkipped
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.audited import (
    BASE,
    DMAP,
    HEADER,
    RESTATED,
    build_depot,
    found,
    put_ods,
)


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with loads of all kinds."""
    return build_depot(tmp_path)


class ManyPages:
    """A bucket of many pages, and a ledger that knows none of their objects."""

    def __init__(self, depot: Depot, n_pages: int) -> None:
        self.depot, self.n_pages = depot, n_pages
        self.unread, self.most_unread, self.most_keys = 0, 0, 0

    def list(
        self, prefix: str, *, after: str = "", skipped: TellSkipped | None = None
    ) -> Iterator[Sequence[ObjectVersion]]:
        """Yield pages, noting how many were taken before the database was asked about them."""
        del prefix, after, skipped
        for page in range(self.n_pages):
            self.unread += 1
            self.most_unread = max(self.most_unread, self.unread)
            keys = (f"{DMAP.prefix}{page}-{number}.csv" for number in range(1_000))
            yield [ObjectVersion(key, "e", 1, self.depot.clock.now()) for key in keys]

    def head(self, key: str) -> None:
        """Nothing is there when it is looked at again."""
        del key

    def loads_at(self, place: Place, keys: Collection[str]) -> Mapping[str, Sequence[Load]]:
        """Answer that no load is there."""
        if place is Place.ARCHIVE:
            self.unread, self.most_keys = 0, max(self.most_keys, len(keys))
        return {}


def test_a_listing_is_checked_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depot = Depot.build(tmp_path, [DMAP])
    many = ManyPages(depot, 50)
    monkeypatch.setattr(depot.platform.ledger.queries, "loads_at", many.loads_at)
    stores = replace(depot.platform.stores, archive=many)

    done = audit(replace(depot.platform, stores=stores))

    assert done.findings == []
    assert done.objects["archive"] == 50_000
    assert (many.most_unread, many.most_keys) == (1, 1_000)


def test_memory_is_the_same_whatever_is_found(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [DMAP])
    for number in range(KEPT_FINDINGS + 5):
        depot.put(f"{DMAP.prefix}{number}.csv", b"x")
        (depot.root / "archive" / str(number)).mkdir(parents=True)
        (depot.root / "archive" / str(number) / "stray").touch()
    depot.clock.advance(minutes=1)
    taken: list[Finding] = []

    done = audit(depot.platform, take=taken.append)

    assert len({(finding.zone, finding.key) for finding in taken}) == done.n_findings == 2 * (KEPT_FINDINGS + 5)
    assert done.findings == taken[:KEPT_FINDINGS]


def test_what_is_left_alone_is_counted_by_so_many_folders_and_no_more() -> None:
    done = Audit()
    for number in range(2 * KEPT_FOLDERS):
        done.leave_alone(f"folder {number}/", "no table declares it")

    assert len(done.notes) == KEPT_FOLDERS + 1
    assert "elsewhere: 1,000 objects left alone, no table declares it" in done.notes


class CountedStore(LocalObjectStore):
    """A bucket that counts how often single objects are asked for."""

    n_heads = 0

    def head(self, key: str) -> ObjectVersion | None:
        """Count, and answer."""
        self.n_heads += 1
        return super().head(key)


def test_no_object_is_looked_for_by_itself_where_the_listings_showed_all(depot: Depot) -> None:
    counted = {zone: CountedStore(depot.root / zone) for zone in ("incoming", "archive", "error")}
    stores = replace(depot.platform.stores, **counted)

    assert audit(replace(depot.platform, stores=stores)).findings == []
    assert {zone: store.n_heads for zone, store in counted.items()} == dict.fromkeys(counted, 0)


class MovingStore(LocalObjectStore):
    """A bucket in which something happens right after it was listed."""

    def __init__(self, root: Path, happens: Callable[[], None]) -> None:
        super().__init__(root)
        self._happens = happens

    def list(
        self, prefix: str, *, after: str = "", skipped: TellSkipped | None = None
    ) -> Iterator[Sequence[ObjectVersion]]:
        """List, then let it happen, then hand out what was listed."""
        pages = list(super().list(prefix, after=after, skipped=skipped))
        self._happens()
        yield from pages


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["incoming", "archive", "error", "springboard"])
def test_what_moves_between_two_looks_is_no_false_alarm(depot: Depot, zone: str) -> None:
    def bring(*days: int) -> None:
        for day in days:
            depot.put(f"{DMAP.prefix}202204{day}.csv", f"{HEADER}1,a,5\n".encode())
        put_ods(depot, f"{BASE.prefix}LOAD000000{days[0]}.csv.gz")
        depot.put(RESTATED, f"{HEADER}{days[0]},a,5\n".encode())
        depot.put(f"{KAFKA_TABLE.prefix}bad{days[0]}.json", b"no JSON\n")
        depot.ingest()

    bring(11, 12)
    moving = MovingStore(depot.root / zone, depot.settle)
    stores = replace(depot.platform.stores, **{zone: moving})
    assert found(audit(replace(depot.platform, stores=stores))) == []
    assert found(audit(depot.platform)) == []
