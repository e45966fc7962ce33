"""Killed before or after any step: the next fetch brings what is missing, and no more than what was under way twice."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from cubic_ingestion.fake_vendor import FakeVendor, ListRules
from cubic_ingestion.pipeline.dmap import Fetcher
from cubic_ingestion.ports import ObjectWriter
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.dmap.fetches import FEED, a_fetcher, progress, publish

pytestmark = pytest.mark.slow

N_DATASETS = 6
STEPS = ("client.page", "client.download", "feeds.lease", "feeds.datasets", "feeds.record", "feeds.release")
COMMIT = "incoming.commit"


class Killed(BaseException):
    """The process is gone: no error that anything catches, and nothing is tidied up behind it."""


@dataclass
class Fuse:
    """Kills at the n-th pass of one step, before or after it; from then on nothing is done any more."""

    step: str = ""
    n_th: int = 0
    is_after: bool = False
    counts: dict[str, int] = field(default_factory=dict[str, int])
    is_burnt: bool = False

    def around(self, step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Count a step."""

        def fused(*arguments: object, **named: object) -> object:
            if self.is_burnt:
                raise Killed
            self.counts[step] = self.counts.get(step, 0) + 1
            strikes = step == self.step and self.counts[step] == self.n_th
            if strikes and not self.is_after:
                self._burn()
            done = work(*arguments, **named)
            if strikes:
                self._burn()
            return done

        return fused

    def _burn(self) -> None:
        self.is_burnt = True
        raise Killed


class Fused:
    """A port, some steps of which are fused."""

    def __init__(self, name: str, port: object, fuse: Fuse) -> None:
        self._name = name
        self._port = port
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        step = f"{self._name}.{name}"
        work = getattr(self._port, name)
        return self._fuse.around(step, work) if step in STEPS else work

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Open an object for writing."""
        with cast("AbstractContextManager[ObjectWriter]", cast("Any", self._port).writer(key)) as out:
            out.commit = self._fuse.around(COMMIT, out.commit)  # type: ignore[method-assign] - the fuse
            yield out


def fused(fetcher: Fetcher, fuse: Fuse) -> Fetcher:
    """Put a fuse between a fetcher and its ports."""
    ports: dict[str, Any] = {name: Fused(name, getattr(fetcher, name), fuse) for name in ("client", "incoming")}
    ledger: Any = copy(fetcher.ledger)
    ledger.feeds = Fused("feeds", ledger.feeds, fuse)
    return replace(fetcher, ledger=ledger, **ports)


def an_offer_of_all(vendor: FakeVendor) -> None:
    """Publish some data sets, on several pages."""
    vendor.rules = ListRules(page_size=4)
    for number in range(N_DATASETS):
        publish(vendor, f"sample_{number}", number)


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "when the lease has ended"])
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("n_th", [1, 2, 3])
@pytest.mark.parametrize("step", [*STEPS, COMMIT])
def test_a_fetch_that_is_killed_is_finished_by_the_next(
    vendor: FakeVendor, depot: Depot, step: str, n_th: int, *, is_after: bool, is_late: bool
) -> None:
    an_offer_of_all(vendor)
    fuse = Fuse(step, n_th, is_after)
    try:
        fused(a_fetcher(vendor, depot, parallel_downloads=1), fuse).fetch(FEED)
    except Killed:
        depot.clock.advance(seconds=901 if is_late else 0)
    n_before = len(vendor.downloads)
    report = a_fetcher(vendor, depot, owner="two" if is_late else "one").fetch(FEED)

    assert report.problems == []
    assert len(vendor.downloads) - n_before == len(report.fetched)
    assert len(vendor.downloads) <= N_DATASETS + 1
    depot.settle()
    assert sorted(cast("int", row["sample_count"]) for row in depot.rows(FEED.table)) == list(range(N_DATASETS))
    assert len(depot.files("archive")) == N_DATASETS
    assert progress(depot).n_datasets == N_DATASETS


_FETCH_AND_DIE = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.dmap.fetches import FEED, a_fetcher

depot = Depot.build(Path(sys.argv[1]), [FEED.table])
fetcher = a_fetcher(SimpleNamespace(url=sys.argv[2]), depot, parallel_downloads=2)
record, left = fetcher.ledger.feeds.record, [3]

def dying(*arguments):
    record(*arguments)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

fetcher.ledger.feeds.record = dying
fetcher.fetch(FEED)
"""


def test_a_real_process_that_is_killed_loses_and_doubles_nothing(
    vendor: FakeVendor, depot: Depot, tmp_path: Path
) -> None:
    an_offer_of_all(vendor)
    killed = subprocess.run(
        [sys.executable, "-c", _FETCH_AND_DIE, str(tmp_path), vendor.url], check=False, env=os.environ
    )
    assert killed.returncode == -signal.SIGKILL
    depot.settle()
    depot.clock.moment = datetime.now(UTC) + timedelta(seconds=901)
    report = a_fetcher(vendor, depot, owner="two").fetch(FEED)
    assert (report.is_held_elsewhere, report.problems) == (False, [])
    assert len(vendor.downloads) <= N_DATASETS + 2
    depot.settle()
    assert sorted(cast("int", row["sample_count"]) for row in depot.rows(FEED.table)) == list(range(N_DATASETS))
