"""Answers that no S3 gives: whatever stands between it and us may. Each ends as one of the platform's errors."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.ports import ObjectChangedError
from cubic_ingestion.storage import s3_object_writer as writing
from cubic_ingestion.storage.s3_client import s3_client
from cubic_ingestion.storage.s3_object_store import S3ObjectStore
from cubic_ingestion_tests.s3 import name_s3, new_bucket, s3
from cubic_ingestion_tests.s3_refusals import Refusal, Refusals, refusing_s3

pytestmark = pytest.mark.slow

__all__ = ["s3"]

PART_BYTES = 5 << 20
REFUSALS = [Refusal.A_PAGE, Refusal.BROKEN_XML, Refusal.CUT_OFF, Refusal.NO_ETAG, Refusal.STRANGE_HEADERS]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two tries."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def refusals() -> Refusals:
    """Refuse nothing, until it is said."""
    return Refusals()


@pytest.fixture
def store(s3: Any, refusals: Refusals, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3ObjectStore]:
    """A store of the client of production, with one object ``a``."""
    with refusing_s3(refusals) as url:
        name_s3(s3, monkeypatch, url)
        client = s3_client.__wrapped__("path", 10)
        store = S3ObjectStore(client, new_bucket(s3))
        put(store, b"content")
        yield store
        client.close()


def put(store: S3ObjectStore, content: bytes) -> str:
    with store.writer("a") as writer:
        writer.file.write(content)
        return writer.commit().etag


def read(store: S3ObjectStore) -> bytes:
    with store.open("a") as file:
        return file.read()


def keys(store: S3ObjectStore) -> list[str]:
    return [version.key for page in store.list("") for version in page]


def given_up(store: S3ObjectStore) -> None:
    with store.writer("a") as writer:
        writer.file.write(bytes(PART_BYTES + 1))


ASKING: dict[str, tuple[Callable[[S3ObjectStore], object], object]] = {
    "ListObjectsV2": (keys, ["a"]),
    "HeadObject": (lambda store: getattr(store.head("a"), "size_bytes", None), 7),
    "GetObject": (read, b"content"),
    "PutObject": (lambda store: put(store, b"content") != "", True),
    "DeleteObject": (lambda store: store.delete("a", put(store, b"content")), None),
    "CreateMultipartUpload": (lambda store: put(store, bytes(PART_BYTES + 1)) != "", True),
    "UploadPart": (lambda store: put(store, bytes(PART_BYTES + 1)) != "", True),
    "CompleteMultipartUpload": (lambda store: put(store, bytes(PART_BYTES + 1)) != "", True),
    "AbortMultipartUpload": (given_up, None),
}
"""By verb: something that asks for it, and what comes of it when nobody disturbs."""


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("verb", ASKING)
def test_an_answer_that_no_s3_gives_is_the_true_one_or_none(
    store: S3ObjectStore, refusals: Refusals, monkeypatch: pytest.MonkeyPatch, verb: str, refusal: Refusal
) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", PART_BYTES)
    ask, expected = ASKING[verb]
    refusals.refusal, refusals.only, refusals.times = refusal, verb, 1_000

    try:
        found = ask(store)
    except StoreUnavailableError:
        return
    assert found == expected


def test_a_server_without_ranges_never_gives_bytes_from_the_wrong_place(
    store: S3ObjectStore, refusals: Refusals
) -> None:
    refusals.ignored = frozenset({"HTTP_RANGE"})

    with store.open("a") as file:
        file.seek(3)
        with pytest.raises(StoreUnavailableError, match=r"'a' could not be reached .*from byte 3"):
            file.read()
        file.seek(0)
        assert file.read() == b"content"


def test_a_server_that_ignores_conditions_never_gives_bytes_of_two_versions(
    store: S3ObjectStore, refusals: Refusals
) -> None:
    refusals.ignored = frozenset({"HTTP_IF_MATCH"})
    etag = put(store, b"0123456789")

    with store.open("a", etag) as file:
        put(store, b"9876543210")
        file.seek(5)
        with pytest.raises(ObjectChangedError):
            file.read()
