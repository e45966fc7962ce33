"""A process that is killed at any call of a merge of ``__current``: the next one ends what it had begun."""

import pytest

from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault
from cubic_ingestion_tests.products.deliveries import CURRENT, update
from cubic_ingestion_tests.products.struck import AT_WRITES, Strikes
from cubic_ingestion_tests.products.test_current_drift import BASE, put_changes, put_load

pytestmark = pytest.mark.slow

N_CALLS = {"build": (18, 44), "fold": (19, 57), "refold": (19, 66), "reload": (19, 55)}
"""How many calls the merge of a scene makes that write, and that read. Tests are collected by number, since recording
takes seconds."""
KILLED = (Fault.KILLED_AFTER,)
FAULTS = {"build": AT_WRITES, "fold": KILLED, "refold": AT_WRITES, "reload": KILLED}
"""What goes wrong at the writes of a scene. Those of a fold are those of a refold, so one of them has all."""
COLUMNS = {"ID": "INT4", "NAME": "STRING"}


def build(depot: Depot) -> None:
    put_load(depot, 1, COLUMNS, "1,a", "2,b")
    put_changes(depot, 1, COLUMNS, "5,U,1,aa", "6,B,2,b", "6,U,3,")
    log(depot)


def fold(depot: Depot) -> None:
    build(depot)
    update(depot)
    put_changes(depot, 2, COLUMNS, "7,I,4,d", "8,B,1,aa", "8,U,5,", "9,U,6,orphan")
    log(depot)


def refold(depot: Depot) -> None:
    build(depot)
    update(depot)
    put_changes(depot, 2, COLUMNS, "4,U,2,late", "7,I,4,d")
    log(depot)


def reload(depot: Depot) -> None:
    build(depot)
    update(depot)
    put_load(depot, 1, COLUMNS, "7,new", started_at="2022-03-04T10:01:30.000")
    put_changes(depot, 2, COLUMNS, "7,U,7,newer")
    log(depot)


def log(depot: Depot) -> None:
    """Have ``__changes`` take what came, so that only ``__current`` is due."""
    depot.settle()
    assert update_products(depot.platform, [f"{BASE}__ct"], run_id="log").refused == {}


@pytest.fixture(scope="module")
def strikes(tmp_path_factory: pytest.TempPathFactory) -> Strikes:
    """Merges of ``__current``."""
    scenes = {"build": build, "fold": fold, "refold": refold, "reload": reload}
    return Strikes(tmp_path_factory.mktemp("homes"), scenes, [BASE], [CURRENT])


@pytest.mark.parametrize("scene", N_CALLS)
def test_each_call_of_an_undisturbed_merge_has_its_tests(strikes: Strikes, scene: str) -> None:
    assert tuple(map(len, strikes.recorded(scene))) == N_CALLS[scene]


@pytest.mark.parametrize(
    ("scene", "fault", "number"),
    [
        (scene, fault, number)
        for scene, faults in FAULTS.items()
        for fault in faults
        for number in range(N_CALLS[scene][0])
    ],
)
def test_after_a_fault_at_a_write_current_is_as_if_nothing_had_happened(
    strikes: Strikes, scene: str, fault: Fault, number: int
) -> None:
    strikes.strike(scene, fault, strikes.recorded(scene)[0][number])


@pytest.mark.parametrize("number", range(N_CALLS["refold"][1]))
def test_after_a_read_that_fails_current_is_as_if_nothing_had_happened(strikes: Strikes, number: int) -> None:
    strikes.strike("refold", Fault.ERROR, strikes.recorded("refold")[1][number])
