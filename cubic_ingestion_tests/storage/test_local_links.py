"""Symbolic links in a local folder: none is followed, whenever it takes the place of a folder or of a file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cubic_ingestion.errors import InvalidKeyError, StoreUnavailableError
from cubic_ingestion.ports import ObjectMissingError
from cubic_ingestion.storage.local_object_store import LocalObjectStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of the bucket."""
    return tmp_path / "bucket"


@pytest.fixture
def store(root: Path) -> LocalObjectStore:
    """Return an empty bucket."""
    root.mkdir()
    return LocalObjectStore(root)


def put(store: LocalObjectStore, key: str) -> str:
    with store.writer(key) as writer:
        writer.file.write(b"content")
        return writer.commit().etag


def keys(store: LocalObjectStore, prefix: str = "") -> list[str]:
    return [version.key for page in store.list(prefix) for version in page]


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_symbolic_link_is_no_object_wherever_it_leads(store: LocalObjectStore, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_bytes(b"secret")
    (root / "folder").symlink_to(outside)
    (root / "file.csv").symlink_to(outside / "secret.csv")
    (root / "loop").symlink_to(root)

    assert keys(store) == []
    assert keys(store, "folder/") == []
    assert list(store.prefixes("")) == []
    assert list(store.prefixes("folder/")) == []
    for key in ("folder/secret.csv", "file.csv"):
        assert store.head(key) is None
        with pytest.raises(ObjectMissingError), store.open(key):
            pass
    with pytest.raises(InvalidKeyError), store.writer("folder/new.csv"):
        pass
    assert files(outside) == ["secret.csv"]


def test_the_folder_of_the_bucket_may_be_a_link_itself(root: Path, tmp_path: Path) -> None:
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    store = LocalObjectStore(tmp_path / "link")

    put(store, "a/b.csv")

    assert keys(store) == ["a/b.csv"]


@pytest.fixture
def swap(store: LocalObjectStore, root: Path, tmp_path: Path) -> Callable[[], Path]:
    """Replace a folder that was used by a link to a folder outside, which has the same file; returns the latter."""
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "b" / "c.csv").write_bytes(b"secret")
    put(store, "a/b/c.csv")
    assert keys(store) == ["a/b/c.csv"]

    def swap() -> Path:
        (root / "a").rename(tmp_path / "moved")
        (root / "a").symlink_to(outside)
        return outside

    return swap


def test_a_folder_that_a_link_replaces_under_a_live_process_is_not_followed(
    store: LocalObjectStore, root: Path, swap: Callable[[], Path]
) -> None:
    version = store.head("a/b/c.csv")
    assert version is not None
    outside = swap()
    os.utime(outside / "b" / "c.csv", ns=(0, 1))
    etag = LocalObjectStore(outside.resolve()).head("b/c.csv")
    assert etag is not None

    assert keys(store) == keys(store, "a/") == keys(store, "a/b/") == []
    assert list(store.prefixes("")) == list(store.prefixes("a/")) == []
    assert store.head("a/b/c.csv") is None
    with pytest.raises(ObjectMissingError), store.open("a/b/c.csv"):
        pass
    store.delete("a/b/c.csv", etag.etag)
    with pytest.raises(InvalidKeyError, match=r"'a' is a file or a symbolic link"), store.writer("a/b/new.csv"):
        pass
    assert files(outside) == ["c.csv"]
    assert (root / "a").is_symlink()


def test_a_folder_that_a_link_replaces_during_a_listing_is_not_followed(
    store: LocalObjectStore, root: Path, swap: Callable[[], Path]
) -> None:
    for number in range(1_000):
        (root / f"{number:04}.csv").touch()  # these are listed first

    pages = store.list("")
    first = next(pages)
    swap()

    assert len(first) == 1_000
    assert list(pages) == []


def test_a_folder_that_a_link_replaces_during_a_write_gets_nothing(
    store: LocalObjectStore, swap: Callable[[], Path]
) -> None:
    with store.writer("a/b/c.csv") as writer:
        writer.file.write(b"new")
        outside = swap()
        with pytest.raises(InvalidKeyError, match="symbolic link"):
            writer.commit()

    assert (outside / "b" / "c.csv").read_bytes() == b"secret"
    assert files(outside) == ["c.csv"]


def test_a_folder_that_is_moved_away_during_a_write_is_not_taken_for_its_place(
    store: LocalObjectStore, root: Path
) -> None:
    with store.writer("a/b.csv") as writer:
        (root / "a").rename(root / "moved")
        with pytest.raises(StoreUnavailableError):
            writer.commit()

    assert store.head("a/b.csv") is None
