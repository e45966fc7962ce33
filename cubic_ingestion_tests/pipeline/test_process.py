"""Whether a process that a claimant's name says is gone: real processes, asked of this machine."""

import os
import signal
from pathlib import Path

import pytest

from cubic_ingestion.domain.holding import Right
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.pipeline import process
from cubic_ingestion.pipeline.claim import claim, claimant_of
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.process import is_gone, this_process, whereabouts
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.release import release_dead
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.databases import an_engine
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.processes import a_dead_holder, another_process

DMAP = a_table()

pytestmark = pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="only Linux tells")


def test_this_process_is_not_gone() -> None:
    assert not is_gone(claimant_of("run"))
    assert whereabouts(claimant_of("run")) == f"process {os.getpid()} on {os.uname().nodename}"


def test_another_process_is_gone_once_it_was_killed_whether_or_not_anybody_has_noticed() -> None:
    with another_process() as (other, claimant):
        assert claimant.startswith("run/")
        assert not is_gone(claimant)
        os.kill(other.pid, signal.SIGKILL)
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie until somebody waits for it
        assert is_gone(claimant)
        other.wait()
        assert is_gone(claimant)


def test_another_process_that_has_got_the_same_number_is_not_the_one_that_is_meant() -> None:
    host, pid, started, namespace, boot = this_process().split(":")
    assert is_gone(f"run/token/{host}:{pid}:{int(started) + 1}:{namespace}:{boot}")


@pytest.mark.parametrize("part", ["host", "namespace", "boot"])
def test_what_runs_elsewhere_is_never_judged(part: str) -> None:
    host, pid, started, namespace, boot = this_process().split(":")
    named = {"host": host, "pid": pid, "started": f"{int(started) + 1}", "namespace": namespace, "boot": boot}
    elsewhere = {"host": "another", "namespace": "1", "boot": "00000000-0000-0000-0000-000000000000"}
    assert not is_gone(":".join((named | {part: elsewhere[part]}).values()))


@pytest.mark.parametrize("holder", ["", "run-1/a", "worker/4242/0badcafe", "a:0:1:2:3", "run/token/mac.local:4242"])
def test_a_name_that_does_not_say_everything_is_never_judged(holder: str) -> None:
    assert not is_gone(holder)


def test_everything_that_a_dead_process_held_is_given_back_and_nothing_of_a_living_one(depot: Depot) -> None:
    dead, living = a_dead_holder(), claimant_of("living")
    depot.put(f"{DMAP.prefix}20220304.csv", b"sample_id\n1\n")
    depot.put(f"{DMAP.prefix}20220305.csv", b"sample_id\n1\n")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    ledger, (now, expires_at) = depot.platform.ledger, depot.platform.claim_term()
    held: dict[str, int] = {}
    for holder in (dead, living):
        (load,) = ledger.claims.take([DMAP.name], Work.INGEST, claimant=holder, now=now, expires_at=expires_at, limit=1)
        held[holder] = load.id
        with an_engine(f"sqlite:///{depot.root / 'metadata.sqlite'}") as engine:
            Ledger(engine, retry_seconds=1).feeds.lease(f"/{holder}", holder, now=now, expires_at=expires_at)
            Ledger(engine).shards.lease("fares", holder, holder, now=now, expires_at=expires_at)
    assert len(ledger.claims.holdings()) == 6

    release_dead(ledger, now)

    assert [holding.right for holding in ledger.claims.holdings()] == [Right.LOADS, Right.FEED, Right.SHARD]
    assert set(ledger.claims.holders()) == {living}
    taken = claim(depot.platform, [DMAP.name], Work.INGEST, run_id="next")
    assert [load.id for load in taken.loads] == [held[dead]]


def test_a_dead_process_that_held_no_load_is_not_worth_a_warning(
    depot: Depot, caplog: pytest.LogCaptureFixture
) -> None:
    ledger, (now, expires_at) = depot.platform.ledger, depot.platform.claim_term()
    with an_engine(f"sqlite:///{depot.root / 'metadata.sqlite'}") as engine:
        Ledger(engine, retry_seconds=1).feeds.lease("/feed", a_dead_holder(), now=now, expires_at=expires_at)

    release_dead(ledger, now)

    assert ledger.claims.holdings() == []
    assert "given back" not in caplog.text


def test_where_nothing_tells_about_processes_nobody_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_process() as (other, claimant):
        other.kill()
        other.wait()
        monkeypatch.setattr(process, "_PROC", tmp_path)
        assert not is_gone(claimant)
        assert this_process() == f"{os.uname().nodename}:{os.getpid()}"
        assert whereabouts(this_process()) == f"process {os.getpid()} on {os.uname().nodename}"
