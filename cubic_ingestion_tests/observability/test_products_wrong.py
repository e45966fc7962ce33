"""Changes that nobody can read, and a hole in the full load that is shown, are problems of ``__current``."""

from pathlib import Path

import pytest

from cubic_ingestion.observability.health import health
from cubic_ingestion.observability.metrics import LedgerCollector, exposition
from cubic_ingestion.observability.problems import Problem, ProblemCode, Thresholds
from cubic_ingestion_tests.builders import an_ods_table, limits
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.observability.test_metrics import of, parsed
from cubic_ingestion_tests.products.current_story import CURRENT, put_changes, put_load
from cubic_ingestion_tests.products.deliveries import CT, open_depot, update

pytestmark = pytest.mark.slow
BASE = an_ods_table()
CODES = (ProblemCode.PRODUCT_BEHIND, ProblemCode.UNKNOWN_CHANGE, ProblemCode.INCOMPLETE_SNAPSHOT)


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with a table that has a key."""
    depot = open_depot(tmp_path)
    put_load(depot, 1, "1,a,\n2,b,\n")
    update(depot)
    return depot


def problems(depot: Depot) -> list[Problem]:
    platform = depot.platform
    found = health(platform.tables, platform.ledger, depot.clock.now(), Thresholds(limits())).problems
    return [problem for problem in found if problem.code in CODES]


def test_a_sound_product_is_no_problem(depot: Depot) -> None:
    put_changes(depot, "20220304-101500123", "100,U,1,aa,\n")
    update(depot)
    assert problems(depot) == []


def test_loads_whose_changes_are_left_out_are_named_until_they_are_restated(depot: Depot) -> None:
    put_changes(depot, "20220304-101500123", "100,T,1,aa,\n")
    update(depot)
    (found,) = problems(depot)
    assert (found.code, found.table) == (ProblemCode.UNKNOWN_CHANGE, BASE.name)
    assert found.message == (
        f"{CURRENT} leaves out the changes of load 2 ('{CT}20220304-101500123.csv.gz'): "
        "a change has the unknown operation 'T'."
    )
    put_changes(depot, "20220304-101600123", "101,T,1,aa,\n")
    update(depot)
    (found,) = problems(depot)
    assert found.message.endswith("operation 'T'. So it is with 1 more load.")

    for time in ("101500123", "101600123"):
        put_changes(depot, f"20220304-{time}", "101,U,1,aa,\n")
    update(depot)
    assert problems(depot) == []


def test_a_load_file_in_error_of_the_snapshot_that_is_shown_is_named_until_it_is_here(depot: Depot) -> None:
    put_load(depot, 2, "x,what,\n")
    update(depot)
    (found,) = problems(depot)
    assert (found.code, found.table) == (ProblemCode.INCOMPLETE_SNAPSHOT, BASE.name)
    assert found.message == (
        f"{CURRENT} lacks rows: '{BASE.prefix}LOAD00000002.csv.gz' of snapshot 20220301T000100Z is in Error (load 2), "
        "so its rows are missing."
    )
    assert f"'cubic products switch {BASE.name} --to SNAPSHOT'" in found.remedy

    put_load(depot, 2, "7,g,\n")
    update(depot)
    assert problems(depot) == []


def test_a_load_file_in_error_of_a_newer_snapshot_is_no_problem_of_the_one_that_is_shown(depot: Depot) -> None:
    put_load(depot, 1, "3,new,\n", day=5)
    put_load(depot, 2, "x,what,\n", day=5)
    update(depot)
    assert problems(depot) == []


def test_a_table_without_a_key_has_no_problem(tmp_path: Path) -> None:
    depot = open_depot(tmp_path)
    put_load(depot, 1, "1,a,\n", key="")
    put_changes(depot, "20220304-101500123", "100,T,1,b,\n", key="")
    update(depot)
    depot.clock.advance(hours=100)
    assert problems(depot) == []


def test_a_scrape_shows_how_far_current_is(depot: Depot) -> None:
    platform = depot.platform
    samples = parsed(exposition(LedgerCollector(platform.tables, platform.ledger, depot.clock, Thresholds(limits()))))
    labels = {"stream": "ods", "table": BASE.name, "product": CURRENT}
    facts = ("loads", "rows", "files", "waiting_changes")
    assert [of(samples, f"cubic_product_{fact}", **labels) for fact in facts] == [1, 2, 1, 0]
