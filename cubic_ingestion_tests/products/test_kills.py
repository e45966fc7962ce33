"""A process that is killed at any call of a merge: the next one ends what it had begun, and no row doubles."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from shutil import rmtree

import pytest

from cubic_ingestion.products.log_files import FANOUT
from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.stage import calls_of, goes_wrong
from cubic_ingestion_tests.products.deliveries import (
    CHANGES,
    CT,
    EVENTS,
    LOAD,
    is_complete,
    open_depot,
    put_kafka,
    put_ods,
    shown,
    update,
)

pytestmark = pytest.mark.slow

N_CALLS = {"build": (35, 36), "exchange": (36, 61), "compaction": (16, 28)}
"""How many calls the merge of a scene makes that write, and that read. Tests are collected by number, since recording
takes seconds."""
AT_WRITES = (Fault.ERROR, Fault.TIMEOUT, Fault.KILLED_AFTER)
"""A kill before a call leaves what one after the call before it does; one after a read leaves nothing."""
READS = (".open", ".head", ".list", "database.select")


def set_up(depot: Depot, scene: str) -> None:
    """Bring a depot to where a merge is due."""
    put_ods(depot, LOAD, "1,a\n")
    put_ods(depot, CT + "20220304-101500123", "1,early\n")
    put_kafka(depot, "a", {"event_id": "1"}, {"event_id": "2"})
    if scene == "exchange":
        update(depot)
        put_ods(depot, LOAD, "1,b\n", started_at="2022-03-04T08:00:00.000")
        put_ods(depot, CT + "20220305-101500123", "1,late\n")
        put_kafka(depot, "a", {"event_id": "3"})
    if scene == "compaction":
        for number in range(FANOUT):
            update(depot)
            put_kafka(depot, f"b{number}", {"event_id": str(number)})
    depot.settle()


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a home of each scene. It stays where it is: the warehouse knows its files by their addresses."""
    return tmp_path_factory.mktemp("homes")


@cache
def files_of(root: Path, scene: str) -> dict[Path, bytes]:
    """Return the files of a home in which a merge is due."""
    root.mkdir()
    set_up(open_depot(root), scene)
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def fresh(homes: Path, scene: str) -> Depot:
    """Bring the home of a scene back to where a merge is due."""
    root = homes / scene
    files = files_of(root, scene)
    rmtree(root)
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return open_depot(root)


def merge(depot: Depot) -> None:
    update_products(depot.platform, run_id="struck")


@cache
def recorded(homes: Path, scene: str) -> tuple[Sequence[tuple[str, int]], Sequence[tuple[str, int]]]:
    """Name the calls of an undisturbed merge that write, and those that read."""
    calls = calls_of(fresh(homes, scene), merge)
    each = [(call, number) for call, n_calls in calls.items() for number in range(1, n_calls + 1)]
    reads = [one for one in each if any(read in one[0] for read in READS)]
    return [one for one in each if one not in reads], reads


@cache
def undisturbed(homes: Path, scene: str) -> tuple[object, ...]:
    depot = fresh(homes, scene)
    merge(depot)
    return held(depot)


def held(depot: Depot) -> tuple[object, ...]:
    """Return what people find, and what is on record."""
    states = [(each.name, each.n_loads, each.n_rows) for each in depot.platform.ledger.products.states()]
    return shown(depot, EVENTS, "*"), shown(depot, CHANGES, "*"), states


@pytest.mark.parametrize("scene", N_CALLS)
def test_each_call_of_an_undisturbed_merge_has_its_tests(homes: Path, scene: str) -> None:
    assert tuple(map(len, recorded(homes, scene))) == N_CALLS[scene]


@pytest.mark.parametrize(
    ("scene", "fault", "number"),
    [(scene, fault, number) for scene, (n, _) in N_CALLS.items() for fault in AT_WRITES for number in range(n)],
)
def test_after_a_fault_at_a_write_a_product_is_as_if_nothing_had_happened(
    homes: Path, scene: str, fault: Fault, number: int
) -> None:
    strike(homes, scene, fault, recorded(homes, scene)[0][number])


@pytest.mark.parametrize("number", range(N_CALLS["exchange"][1]))
def test_after_a_read_that_fails_a_product_is_as_if_nothing_had_happened(homes: Path, number: int) -> None:
    strike(homes, "exchange", Fault.ERROR, recorded(homes, "exchange")[1][number])


def strike(homes: Path, scene: str, fault: Fault, at: tuple[str, int]) -> None:
    """Let a call of a merge go wrong, merge again, and compare."""
    call, which = at
    wanted = undisturbed(homes, scene)
    depot = fresh(homes, scene)
    goes_wrong(depot, FaultPlan(call, fault, (which,)), merge)

    healed = open_depot(depot.root)
    healed.clock.advance(hours=2)
    update(healed)

    assert held(healed) == wanted, call
    assert is_complete(healed), call
