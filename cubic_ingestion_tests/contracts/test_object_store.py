"""What every object store promises."""

import gzip
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubic_ingestion.errors import InvalidKeyError
from cubic_ingestion.ports import BucketMissingError, ObjectChangedError, ObjectMissingError, ObjectStore
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion.storage.s3_object_store import S3ObjectStore
from cubic_ingestion_tests.s3 import client_of
from cubic_ingestion_tests.s3 import new_store as new_s3_store
from cubic_ingestion_tests.s3_refusals import Refusals, refusing_s3


@pytest.fixture(scope="module")
def careless_s3() -> Iterator[Any]:
    """An S3 that ignores ``If-Match``, as several servers do that are not AWS."""
    with refusing_s3(Refusals(ignored=frozenset({"HTTP_IF_MATCH"}))) as url:
        client = client_of(url)
        yield client
        client.close()


S3 = [pytest.param(name, marks=pytest.mark.slow) for name in ("s3", "s3 versioned", "careless s3")]


@pytest.fixture(scope="module", params=["local", *S3])
def new_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], ObjectStore]:
    """Make empty stores of one adapter; a further adapter is a further parameter."""
    if request.param != "local":
        client = request.getfixturevalue("careless_s3" if request.param == "careless s3" else "s3")
        return lambda: new_s3_store(client, is_versioned=request.param == "s3 versioned")
    numbers = count()
    root = tmp_path_factory.mktemp("stores")
    return lambda: LocalObjectStore(root / str(next(numbers)))


@pytest.fixture
def store(new_store: Callable[[], ObjectStore]) -> ObjectStore:
    """Make one empty store."""
    return new_store()


def test_a_bucket_that_is_not_there_is_no_empty_one(s3: Any, tmp_path: Path) -> None:
    in_use = tmp_path / "file"
    in_use.write_text("no folder")
    missing: list[ObjectStore] = [
        LocalObjectStore(tmp_path / "missing"),
        LocalObjectStore(in_use),
        S3ObjectStore(s3, "no-such-bucket", "dev/"),
    ]
    for store in missing:
        with pytest.raises(BucketMissingError, match=r"missing|no folder|no-such-bucket"):
            store.require()
    for store in (LocalObjectStore(tmp_path), new_s3_store(s3)):
        store.require()


def put(store: ObjectStore, key: str, content: bytes = b"content") -> str:
    """Write an object and return its version's etag."""
    with store.writer(key) as writer:
        writer.file.write(content)
        return writer.commit().etag


def break_off(store: ObjectStore, key: str) -> None:
    """Begin to write an object, and fail before the commit."""
    with store.writer(key) as writer:
        writer.file.write(b"half")
        raise ZeroDivisionError


def get(store: ObjectStore, key: str, etag: str | None = None) -> bytes:
    """Read an object."""
    with store.open(key, etag) as file:
        return file.read()


def keys(store: ObjectStore, prefix: str = "", after: str = "") -> list[str]:
    """Return all keys of a listing."""
    return [version.key for page in store.list(prefix, after=after) for version in page]


SEGMENTS = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0"), min_size=1, max_size=12
).filter(lambda segment: not segment.startswith("."))
KEYS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)


def printable(key: str) -> str:
    """Leave out what moto's server cannot answer with: control characters of a key to go on after."""
    return "".join(character for character in key if character.isprintable())


def without_conflicts(wanted: set[str]) -> set[str]:
    """Leave out keys below which another one stands: a folder cannot hold both."""
    return {key for key in wanted if not any(other.startswith(f"{key}/") for other in wanted)}


def test_what_was_committed_is_read_back(store: ObjectStore) -> None:
    etag = put(store, "a/b.csv", b"1,2\n")

    assert get(store, "a/b.csv", etag) == b"1,2\n"


def test_a_commit_a_head_and_a_listing_tell_the_same_version(store: ObjectStore) -> None:
    with store.writer("a/b.csv") as writer:
        writer.file.write(b"1234")
        committed = writer.commit()

    standing = store.head("a/b.csv")
    assert standing is not None
    assert (standing.etag, standing.size_bytes) == (committed.etag, committed.size_bytes) == (committed.etag, 4)
    assert [list(page) for page in store.list("")] == [[standing]]


def test_a_version_was_modified_just_now_in_utc(store: ObjectStore) -> None:
    put(store, "a/b.csv")

    version = store.head("a/b.csv")

    assert version is not None
    assert version.modified_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - version.modified_at) < timedelta(minutes=1)


def test_there_is_no_head_of_what_is_not_there(store: ObjectStore) -> None:
    put(store, "a/b.csv")

    assert store.head("a/b") is None
    assert store.head("a") is None
    assert store.head("a/b.csv/c") is None


def test_a_missing_object_is_missing_when_opened(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissingError), store.open("a/b.csv"):
        pass


def test_a_replaced_object_is_another_version(store: ObjectStore) -> None:
    old = put(store, "a/b.csv", b"old")
    new = put(store, "a/b.csv", b"new")

    assert old != new
    assert get(store, "a/b.csv", new) == b"new"
    with pytest.raises(ObjectChangedError), store.open("a/b.csv", old):
        pass


def test_an_open_object_stays_the_version_it_was_or_says_that_it_is_another(store: ObjectStore) -> None:
    etag = put(store, "a/b.csv", b"old " * 1_000_000)

    try:
        with store.open("a/b.csv", etag) as file:
            begin = file.read(4)
            put(store, "a/b.csv", b"new " * 1_000_000)
            content = begin + file.read()
    except ObjectChangedError:
        content = b"old " * 1_000_000

    assert content == b"old " * 1_000_000


def test_nothing_is_visible_before_the_commit(store: ObjectStore) -> None:
    with store.writer("a/b.csv") as writer:
        writer.file.write(b"half")
        writer.file.flush()

        assert keys(store) == []
        assert store.head("a/b.csv") is None


def test_leaving_without_a_commit_discards_all_and_keeps_what_was_there(store: ObjectStore) -> None:
    put(store, "a/b.csv", b"old")

    with pytest.raises(ZeroDivisionError):
        break_off(store, "a/b.csv")

    assert get(store, "a/b.csv") == b"old"
    assert keys(store) == ["a/b.csv"]


def test_parquet_is_written_and_read_through_it(store: ObjectStore) -> None:
    rows = pa.table({"a": [1, 2, 3]})

    with store.writer("t/part-0.parquet") as writer:
        pq.write_table(rows, writer.file)
        writer.commit()

    with store.open("t/part-0.parquet") as file:
        assert pq.read_table(file).equals(rows)


def test_wrong_bytes_stay_the_decoders_own_error(store: ObjectStore) -> None:
    put(store, "a/b.csv.gz", b"no gzip at all")

    with pytest.raises(gzip.BadGzipFile), store.open("a/b.csv.gz") as file, gzip.open(file) as text:
        text.read()


def test_a_listing_starts_with_the_prefix_and_not_with_the_folder(store: ObjectStore) -> None:
    for key in ("a/EDW.X/1", "a/EDW.X__ct/2", "a/EDW.XY/3", "b/4"):
        put(store, key)

    assert keys(store, "a/EDW.X/") == ["a/EDW.X/1"]
    assert keys(store, "a/EDW.X") == ["a/EDW.X/1", "a/EDW.XY/3", "a/EDW.X__ct/2"]
    assert keys(store, "a/EDW.X/1/") == []
    assert keys(store, "nothing/here/") == []


def test_a_listing_goes_on_after_a_key(store: ObjectStore) -> None:
    for key in ("a/a", "a/b-c", "a/b/c", "a/b/d", "a/b0", "b"):
        put(store, key)

    assert keys(store, after="a/b/c") == ["a/b/d", "a/b0", "b"]
    assert keys(store, after="a/b-") == ["a/b-c", "a/b/c", "a/b/d", "a/b0", "b"]
    assert keys(store, "a/", after="b") == []


def test_a_page_has_at_most_a_thousand_objects_and_none_is_lost(new_store: Callable[[], ObjectStore]) -> None:
    store = new_store()
    for number in range(1_001):
        put(store, f"a/{number:04}", b"")

    pages = [list(page) for page in store.list("a/")]

    assert [len(page) for page in pages] == [1_000, 1]
    assert [version.key for page in pages for version in page] == [f"a/{number:04}" for number in range(1_001)]


def test_the_folders_directly_below_a_prefix_are_told(store: ObjectStore) -> None:
    for key in ("a/x/1", "a/x/y/2", "a/z/3", "a/file", "b/4"):
        put(store, key)

    assert list(store.prefixes("a/")) == ["a/x/", "a/z/"]
    assert list(store.prefixes("")) == ["a/", "b/"]
    assert list(store.prefixes("a/x/y/")) == []
    assert list(store.prefixes("nothing/")) == []


def test_a_folder_is_gone_with_its_last_object(store: ObjectStore) -> None:
    etag = put(store, "a/x/1")
    put(store, "a/y/2")

    store.delete("a/x/1", etag)

    assert list(store.prefixes("a/")) == ["a/y/"]


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: ObjectStore) -> None:
    etag = put(store, "a/b.csv")

    store.delete("a/b.csv", etag)
    store.delete("a/b.csv", etag)

    assert store.head("a/b.csv") is None
    assert keys(store) == []


def test_another_version_than_the_one_to_delete_stays(store: ObjectStore) -> None:
    old = put(store, "a/b.csv", b"old")
    put(store, "a/b.csv", b"new")

    with pytest.raises(ObjectChangedError):
        store.delete("a/b.csv", old)

    assert get(store, "a/b.csv") == b"new"


def test_an_address_has_a_scheme_and_ends_as_the_key_does(store: ObjectStore) -> None:
    assert "://" in store.uri("a/b.csv")
    assert store.uri("a/snapshot=20220301T000000Z/b.csv.gz").endswith("/a/snapshot=20220301T000000Z/b.csv.gz")
    assert store.uri("a/b/").endswith("/a/b/")


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/etc/passwd", "a/./b", "", "a\0b", "a/.hidden", "\ud800"])
def test_a_key_that_is_no_place_in_the_store_is_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(InvalidKeyError):
        store.head(key)
    with pytest.raises(InvalidKeyError), store.open(key):
        pass
    with pytest.raises(InvalidKeyError), store.writer(key):
        pass
    with pytest.raises(InvalidKeyError):
        store.delete(key, "etag")


@settings(deadline=None)  # S3 over HTTP has pauses that are no fault of the store
@given(wanted=st.sets(KEYS, min_size=1, max_size=8).map(without_conflicts), after=KEYS.map(printable))
def test_any_keys_are_listed_in_order_and_read_back(
    new_store: Callable[[], ObjectStore], wanted: set[str], after: str
) -> None:
    store = new_store()
    if not isinstance(store, LocalObjectStore):  # moto's server loses control characters of a key on its way
        wanted = {key for key in wanted if key.isprintable()}
    for key in wanted:
        put(store, key, key.encode())
    in_order = sorted(wanted, key=str.encode)

    assert keys(store) == in_order
    assert keys(store, after=after) == [key for key in in_order if key.encode() > after.encode()]
    for key in wanted:
        assert get(store, key) == key.encode()


def test_writers_and_deleters_of_one_folder_do_not_disturb_each_other(store: ObjectStore) -> None:
    n_rounds = 100 if isinstance(store, LocalObjectStore) else 25  # S3 has no folders that come and go

    def rounds(name: str) -> Iterator[None]:
        for _ in range(n_rounds):
            store.delete(f"a/b/{name}", put(store, f"a/b/{name}"))
            yield

    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            list(rounds(name))
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread, which raises it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"file-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert keys(store) == []
