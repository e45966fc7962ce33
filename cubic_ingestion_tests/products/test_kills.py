"""A process that is killed at any call of a merge: the next one ends what it had begun, and no row doubles."""

import pytest

from cubic_ingestion.products.log_files import FANOUT
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault
from cubic_ingestion_tests.products.deliveries import CHANGES, CT, EVENTS, LOAD, put_kafka, put_ods, update
from cubic_ingestion_tests.products.struck import AT_WRITES, Strikes

pytestmark = pytest.mark.slow

N_CALLS = {"build": (35, 47), "exchange": (36, 70), "compaction": (16, 36)}
"""How many calls the merge of a scene makes that write, and that read. Tests are collected by number, since recording
takes seconds."""


def build(depot: Depot) -> None:
    put_ods(depot, LOAD, "1,a\n")
    put_ods(depot, CT + "20220304-101500123", "1,early\n")
    put_kafka(depot, "a", {"event_id": "1"}, {"event_id": "2"})


def exchange(depot: Depot) -> None:
    build(depot)
    update(depot)
    put_ods(depot, LOAD, "1,b\n", started_at="2022-03-04T08:00:00.000")
    put_ods(depot, CT + "20220305-101500123", "1,late\n")
    put_kafka(depot, "a", {"event_id": "3"})


def compaction(depot: Depot) -> None:
    build(depot)
    for number in range(FANOUT):
        update(depot)
        put_kafka(depot, f"b{number}", {"event_id": str(number)})


@pytest.fixture(scope="module")
def strikes(tmp_path_factory: pytest.TempPathFactory) -> Strikes:
    """Merges of the products that hold all rows of a table."""
    scenes = {"build": build, "exchange": exchange, "compaction": compaction}
    tables = ["cubic__ods_qlik__edw_sample__ct", "cubic__kafka__sample"]
    return Strikes(tmp_path_factory.mktemp("homes"), scenes, tables, [EVENTS, CHANGES])


@pytest.mark.parametrize("scene", N_CALLS)
def test_each_call_of_an_undisturbed_merge_has_its_tests(strikes: Strikes, scene: str) -> None:
    assert tuple(map(len, strikes.recorded(scene))) == N_CALLS[scene]


@pytest.mark.parametrize(
    ("scene", "fault", "number"),
    [(scene, fault, number) for scene, (n, _) in N_CALLS.items() for fault in AT_WRITES for number in range(n)],
)
def test_after_a_fault_at_a_write_a_product_is_as_if_nothing_had_happened(
    strikes: Strikes, scene: str, fault: Fault, number: int
) -> None:
    strikes.strike(scene, fault, strikes.recorded(scene)[0][number])


@pytest.mark.parametrize("number", range(N_CALLS["exchange"][1]))
def test_after_a_read_that_fails_a_product_is_as_if_nothing_had_happened(strikes: Strikes, number: int) -> None:
    strikes.strike("exchange", Fault.ERROR, strikes.recorded("exchange")[1][number])
