"""What only a local folder does: hostile names, links, leftovers, and a disk that takes no more."""

import fcntl
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote_to_bytes, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.errors import InvalidKeyError, StoreUnavailableError
from cubic_ingestion.ports import ObjectChangedError
from cubic_ingestion.storage import local_object_store
from cubic_ingestion.storage.local_object_store import LocalObjectStore

IN_MEMORY = Path("/dev/shm")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of the bucket."""
    return tmp_path / "bucket"


@pytest.fixture
def store(root: Path) -> LocalObjectStore:
    """Return an empty bucket."""
    root.mkdir()
    return LocalObjectStore(root)


def put(store: LocalObjectStore, key: str, content: bytes = b"content") -> str:
    with store.writer(key) as writer:
        writer.file.write(content)
        return writer.commit().etag


@contextmanager
def a_full_disk() -> Generator[None]:
    """Let no file of this process grow beyond 1,000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def break_off(store: LocalObjectStore, key: str) -> None:
    with store.writer(key) as writer:
        writer.file.write(b"half")
        raise ZeroDivisionError


def keys(store: LocalObjectStore, prefix: str = "") -> list[str]:
    return [version.key for page in store.list(prefix) for version in page]


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_name_that_is_not_utf8_is_listed_and_can_be_read_and_deleted(store: LocalObjectStore, root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.csv")).write_bytes(b"1")
    put(store, "plain.csv")

    assert keys(store) == ["caf\udce9.csv", "plain.csv"]
    version = store.head("caf\udce9.csv")
    assert version is not None
    with store.open(version.key, version.etag) as file:
        assert file.read() == b"1"
    assert store.uri(version.key).endswith("/caf%E9.csv")
    store.delete(version.key, version.etag)
    assert keys(store) == ["plain.csv"]


def test_a_bucket_without_a_folder_is_empty(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path / "not" / "there")

    assert keys(store) == []
    assert list(store.prefixes("")) == []
    assert store.head("a/b.csv") is None


def test_what_begins_with_a_dot_is_no_object(store: LocalObjectStore, root: Path) -> None:
    (root / "a" / ".ipynb_checkpoints").mkdir(parents=True)
    (root / "a" / ".ipynb_checkpoints" / "b.csv").touch()
    (root / "a" / ".DS_Store").touch()
    put(store, "a/b.csv")

    assert keys(store) == ["a/b.csv"]
    assert list(store.prefixes("a/")) == []


def test_a_folder_of_many_entries_is_listed_in_order_though_few_are_held_at_a_time(
    store: LocalObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["a", "a!/x", "a-", "a/b", "a0", "é/x", *(f"{number}.csv" for number in range(20)), "z/1", "z/2", "z/3"]
    for key in keys:
        if key != "a":  # there is a folder of that name
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).touch()
    expected = sorted((key for key in keys if key != "a"), key=os.fsencode)
    monkeypatch.setattr(local_object_store, "MAX_ENTRIES", 3)

    listed = [version.key for page in store.list("") for version in page]
    assert listed == expected
    assert [version.key for page in store.list("", after=expected[7]) for version in page] == expected[8:]
    assert store.prefixes("") == ["a!/", "a/", "z/", "é/"]


def test_an_empty_folder_is_no_prefix(store: LocalObjectStore, root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)

    assert list(store.prefixes("")) == []


def test_a_pipe_is_no_object(store: LocalObjectStore, root: Path) -> None:
    os.mkfifo(root / "pipe.csv")

    assert keys(store) == []
    assert store.head("pipe.csv") is None


def killed_while_writing(root: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from cubic_ingestion.storage.local_object_store import LocalObjectStore\n"
        "with LocalObjectStore(Path(sys.argv[1])).writer('a/b.csv') as writer:\n"
        "    writer.file.write(b'half'); writer.file.flush(); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(root)], check=False, cwd=Path(__file__).parents[2])


def test_what_a_killed_writer_leaves_is_never_listed(store: LocalObjectStore, root: Path) -> None:
    killed_while_writing(root)

    assert len(files(root)) == 1
    assert keys(store) == []
    assert list(store.prefixes("")) == []


def test_what_a_killed_writer_left_is_taken_over_by_the_next(store: LocalObjectStore, root: Path) -> None:
    killed_while_writing(root)

    put(store, "a/b.csv", b"w")

    assert [(root / "a" / name).read_bytes() for name in files(root)] == [b"w"]


def test_a_draft_in_use_is_nobody_elses(store: LocalObjectStore, root: Path) -> None:
    with store.writer("a/b.csv") as first, store.writer("a/b.csv") as second:
        first.file.write(b"first")
        second.file.write(b"second")
        first.commit()
        assert (root / "a" / "b.csv").read_bytes() == b"first"
        put(store, "a/b.csv", b"third")
        second.commit()

    assert (root / "a" / "b.csv").read_bytes() == b"second"
    assert files(root) == ["b.csv"]


def test_a_draft_published_while_another_was_about_to_lock_it_stays_whole(
    store: LocalObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    with ExitStack() as opened:
        first = opened.enter_context(store.writer("b.csv"))
        first.file.write(b"first")

        def publish_and_lock(file: int, operation: int) -> None:
            monkeypatch.setattr(fcntl, "flock", lock)
            first.commit()
            lock(file, operation)

        monkeypatch.setattr(fcntl, "flock", publish_and_lock)
        with store.writer("b.csv"):
            assert (root / "b.csv").read_bytes() == b"first"

    assert files(root) == ["b.csv"]
    assert (root / "b.csv").read_bytes() == b"first"


def test_what_many_write_under_one_key_at_once_is_always_whole(store: LocalObjectStore, root: Path) -> None:
    torn: list[bytes] = []

    def write_often(letter: bytes) -> None:
        for _ in range(150):
            put(store, "b.csv", letter * 50_000)
            content = (root / "b.csv").read_bytes()
            if content != content[:1] * 50_000:
                torn.append(content)

    writers = [threading.Thread(target=write_often, args=(letter,)) for letter in (b"x", b"y", b"z")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert torn == []
    assert files(root) == ["b.csv"]


def test_a_folder_that_others_remove_while_it_is_empty_is_made_again(store: LocalObjectStore, root: Path) -> None:
    is_done = threading.Event()

    def remove_often() -> None:
        n_removed = 0
        while n_removed < 99 and not is_done.is_set():
            with suppress(OSError):
                (root / "a").rmdir()
                n_removed += 1

    remover = threading.Thread(target=remove_often)
    remover.start()
    try:
        for _ in range(300):
            (root / "a" / "b.csv").unlink(missing_ok=True)
            put(store, "a/b.csv")
    finally:
        is_done.set()
        remover.join()

    assert keys(store) == ["a/b.csv"]


def test_pyarrow_passes_on_that_the_disk_takes_no_more(store: LocalObjectStore) -> None:
    rows = pa.table({"n": range(100_000)})

    with pytest.raises(StoreUnavailableError), a_full_disk(), store.writer("a.parquet") as writer:
        pq.write_table(rows, writer.file)


def test_no_draft_is_left_behind(store: LocalObjectStore, root: Path) -> None:
    put(store, "a/b.csv")
    with pytest.raises(ZeroDivisionError):
        break_off(store, "a/c.csv")

    assert files(root) == ["b.csv"]


def test_a_disk_that_takes_no_more_is_worth_another_try(store: LocalObjectStore, root: Path) -> None:
    for n_bytes in (1_001, 1_000_000):  # noticed when the buffer is emptied, at the end or at once
        with pytest.raises(StoreUnavailableError, match=r"a/b\.csv"), a_full_disk():
            put(store, "a/b.csv", b"x" * n_bytes)

    assert files(root) == []


def test_a_name_of_the_greatest_length_can_be_written(store: LocalObjectStore) -> None:
    put(store, "a/" + "n" * 255)

    assert keys(store) == ["a/" + "n" * 255]


@pytest.mark.parametrize("key", ["a/" + "n" * 256, "file/below", "file/far/below", "folder"])
def test_a_key_that_the_folder_can_never_take_is_not_tried_again(store: LocalObjectStore, key: str) -> None:
    put(store, "file")
    put(store, "folder/file")

    with pytest.raises(InvalidKeyError), store.writer(key) as writer:
        writer.commit()

    assert keys(store) == ["file", "folder/file"]


@pytest.mark.skipif(not IN_MEMORY.is_dir(), reason="needs a file system that keeps times after the year 9999")
def test_an_impossible_time_of_a_file_does_not_stop_a_listing() -> None:
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        store = LocalObjectStore(Path(folder))
        put(store, "a.csv")
        os.utime(Path(folder) / "a.csv", (0, 10**12))

        assert keys(store) == ["a.csv"]


def test_the_time_of_a_file_is_told_to_the_microsecond(store: LocalObjectStore, root: Path) -> None:
    put(store, "a.csv")
    os.utime(root / "a.csv", ns=(0, 1_646_352_000_123_456_789))

    version = store.head("a.csv")

    assert version is not None
    assert version.modified_at == datetime(2022, 3, 4, 0, 0, 0, 123_456, UTC)


def test_a_file_changed_in_place_is_another_version(store: LocalObjectStore, root: Path) -> None:
    etag = put(store, "a.csv", b"1234")
    os.utime(root / "a.csv", ns=(0, 1))

    with pytest.raises(ObjectChangedError), store.open("a.csv", etag):
        pass


def test_deleting_keeps_a_folder_that_holds_something_else(store: LocalObjectStore, root: Path) -> None:
    etag = put(store, "a/b/c.csv")
    (root / "a" / ".keep").touch()

    store.delete("a/b/c.csv", etag)

    assert (root / "a" / ".keep").exists()
    assert not (root / "a" / "b").exists()


def test_deleting_the_last_object_keeps_the_bucket(store: LocalObjectStore, root: Path) -> None:
    store.delete("c.csv", put(store, "c.csv"))

    assert root.is_dir()


def test_an_address_leads_back_to_the_file_whatever_the_key(store: LocalObjectStore, root: Path) -> None:
    key = "snapshot=S/identifier=odd %20?#[x]\n'\"é.csv"
    put(store, key)

    assert unquote_to_bytes(urlsplit(store.uri(key)).path) == os.fsencode(root / key)
    assert store.uri("snapshot=S/b.csv") == f"file://{root}/snapshot=S/b.csv"


def test_a_published_file_can_be_read_by_whom_the_process_lets(store: LocalObjectStore, root: Path) -> None:
    mask = os.umask(0o022)
    try:
        put(store, "a.csv")
    finally:
        os.umask(mask)

    assert (root / "a.csv").stat().st_mode & 0o777 == 0o644
