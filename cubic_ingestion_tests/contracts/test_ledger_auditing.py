"""What every load ledger promises to an audit."""

from itertools import groupby

from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import Place
from cubic_ingestion_tests.builders import an_arrival
from cubic_ingestion_tests.contracts.ledgers import BASE, DMAP, archived, claim, ready, register, reread


def test_a_load_is_found_at_each_of_its_places(ledger: Ledger) -> None:
    a, b = (reread(ledger, load) for load in archived(ledger, "a.csv", "b.csv"))
    wanted = {
        Place.INCOMING: a.version.key,
        Place.ARCHIVE: f"archive/{a.version.key}",
        Place.SPRINGBOARD: f"{a.version.key}.parquet",
    }
    for place, key in wanted.items():
        assert ledger.queries.loads_at(place, [key, "nowhere"]) == {key: [a]}
    assert ledger.queries.loads_at(Place.ERROR, list(wanted.values())) == {}
    assert ledger.queries.loads_at(Place.INCOMING, []) == {}
    assert b.id != a.id


def test_a_rejected_load_is_found_in_error(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    ledger.outcomes.reject(load.id, LoadError("bad", "It is bad."))
    claim(ledger, Work.ERROR)
    ledger.outcomes.complete_error("run-1/a", {load.id: "error/a.csv"})
    assert ledger.queries.loads_at(Place.ERROR, ["error/a.csv"]) == {"error/a.csv": [reread(ledger, load)]}


def test_all_loads_of_a_place_are_told_oldest_first(ledger: Ledger) -> None:
    (first,) = register(ledger, "a.csv")
    ledger.intake.register([an_arrival(DMAP, key=first.version.key, etag="other")])
    loads = ledger.queries.loads_at(Place.INCOMING, [first.version.key])[first.version.key]
    assert [load.version.etag for load in loads] == [first.version.etag, "other"]


def test_pages_of_loads_by_the_place_of_their_rows_give_each_once_table_by_table(ledger: Ledger) -> None:
    names = ["b.csv", "Ä.csv", "a_b.csv", "B.csv", "a.csv", "aa.csv"]  # each database has its own order of texts
    loads = [*archived(ledger, *names), *archived(ledger, "LOAD1.csv.gz", table=BASE)]
    register(ledger, "not ingested.csv")
    pages: list[list[Load]] = []
    while page := ledger.queries.standing_after(pages[-1][-1].location or "" if pages else "", 2):
        pages.append(list(page))

    assert [len(page) for page in pages] == [2, 2, 2, 1]
    found = [load for page in pages for load in page]
    assert {load.id: load for load in found} == {load.id: reread(ledger, load) for load in loads}
    assert [name for name, _ in groupby(load.table for load in found)] == [DMAP.name, BASE.name]


def test_pages_of_loads_give_every_load_once(ledger: Ledger) -> None:
    names = [f"{number}.csv" for number in range(5)]
    registered = {load.id for load in register(ledger, *names)}
    registered |= {load.id for load in register(ledger, "LOAD1.csv.gz", table=BASE)}
    pages: list[list[int]] = []
    while page := ledger.queries.loads_after(pages[-1][-1] if pages else 0, 2):
        pages.append([load.id for load in page])
    assert [len(page) for page in pages] == [2, 2, 2]
    assert [load_id for page in pages for load_id in page] == sorted(registered)
