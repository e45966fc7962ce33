"""What every load repository promises to an audit."""

from itertools import groupby

from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.ports import LoadRepository, Place
from cubic_ingestion_tests.builders import an_arrival
from cubic_ingestion_tests.contracts.ledgers import BASE, DMAP, archived, claim, ready, register, reread


def test_a_load_is_found_at_each_of_its_places(repository: LoadRepository) -> None:
    a, b = (reread(repository, load) for load in archived(repository, "a.csv", "b.csv"))
    wanted = {
        Place.INCOMING: a.version.key,
        Place.ARCHIVE: f"archive/{a.version.key}",
        Place.SPRINGBOARD: f"{a.version.key}.parquet",
    }
    for place, key in wanted.items():
        assert repository.loads_at(place, [key, "nowhere"]) == {key: [a]}
    assert repository.loads_at(Place.ERROR, list(wanted.values())) == {}
    assert repository.loads_at(Place.INCOMING, []) == {}
    assert b.id != a.id


def test_a_rejected_load_is_found_in_error(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv")
    repository.reject(load.id, LoadError("bad", "It is bad."))
    claim(repository, Work.ERROR)
    repository.complete_error("run-1/a", {load.id: "error/a.csv"})
    assert repository.loads_at(Place.ERROR, ["error/a.csv"]) == {"error/a.csv": [reread(repository, load)]}


def test_all_loads_of_a_place_are_told_oldest_first(repository: LoadRepository) -> None:
    (first,) = register(repository, "a.csv")
    repository.register([an_arrival(DMAP, key=first.version.key, etag="other")])
    loads = repository.loads_at(Place.INCOMING, [first.version.key])[first.version.key]
    assert [load.version.etag for load in loads] == [first.version.etag, "other"]


def test_pages_of_loads_by_the_place_of_their_rows_give_each_once_table_by_table(repository: LoadRepository) -> None:
    names = ["b.csv", "Ä.csv", "a_b.csv", "B.csv", "a.csv", "aa.csv"]  # each database has its own order of texts
    loads = [*archived(repository, *names), *archived(repository, "LOAD1.csv.gz", table=BASE)]
    register(repository, "not ingested.csv")
    pages: list[list[Load]] = []
    while page := repository.standing_after(pages[-1][-1].location or "" if pages else "", 2):
        pages.append(list(page))

    assert [len(page) for page in pages] == [2, 2, 2, 1]
    found = [load for page in pages for load in page]
    assert {load.id: load for load in found} == {load.id: reread(repository, load) for load in loads}
    assert [name for name, _ in groupby(load.table for load in found)] == [DMAP.name, BASE.name]


def test_pages_of_loads_give_every_load_once(repository: LoadRepository) -> None:
    names = [f"{number}.csv" for number in range(5)]
    registered = {load.id for load in register(repository, *names)}
    registered |= {load.id for load in register(repository, "LOAD1.csv.gz", table=BASE)}
    pages: list[list[int]] = []
    while page := repository.loads_after(pages[-1][-1] if pages else 0, 2):
        pages.append([load.id for load in page])
    assert [len(page) for page in pages] == [2, 2, 2]
    assert [load_id for page in pages for load_id in page] == sorted(registered)
