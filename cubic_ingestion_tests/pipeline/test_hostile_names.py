"""Names and keys that mean harm, or are merely absurd: read under exactly that name, rejected, or left alone."""

import hashlib
import io
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectWriter, TellSkipped
from cubic_ingestion_tests.builders import NOON, a_table
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.walled import DMAP, GOOD, INJECTION, TEXT, a_walled_depot, reason, settled, tree


class Bucket:
    """Incoming as a bucket: keys that no folder can hold are possible."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = dict(objects)

    def require(self) -> None:
        """It is there."""

    def list(
        self, prefix: str, *, after: str = "", skipped: TellSkipped | None = None
    ) -> Iterator[Sequence[ObjectVersion]]:
        """List everything as one page."""
        del skipped
        if found := [self._version(key) for key in sorted(self._objects) if key.startswith(prefix) and key > after]:
            yield found

    def prefixes(self, prefix: str) -> Sequence[str]:
        """Return the folders below a prefix."""
        below = (key.removeprefix(prefix) for key in self._objects if key.startswith(prefix))
        return sorted({f"{prefix}{key.partition('/')[0]}/" for key in below if "/" in key})

    def head(self, key: str) -> ObjectVersion | None:
        """Look."""
        return self._version(key) if key in self._objects else None

    @contextmanager
    def open(self, key: str, etag: str | None = None) -> Generator[BinaryIO]:
        """Open."""
        if key not in self._objects:
            raise ObjectMissingError(key)
        if etag not in (None, self._version(key).etag):
            raise ObjectChangedError(key)
        yield io.BytesIO(self._objects[key])

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Refuse: the platform never writes to Incoming."""
        raise AssertionError(key)
        yield  # pyright: ignore[reportUnreachable] - what makes it a context manager

    def delete(self, key: str, etag: str) -> None:
        """Delete."""
        assert self._version(key).etag == etag
        del self._objects[key]

    def uri(self, key: str) -> str:
        """Name."""
        return f"memory://{key}"

    def _version(self, key: str) -> ObjectVersion:
        data = self._objects[key]
        return ObjectVersion(key, hashlib.sha256(data).hexdigest(), len(data), NOON)


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    return a_walled_depot(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["a b.csv", " .csv", "-rf.csv", "~.csv", "a..b.csv", "ü日本.csv", "CON.csv", "@(1)+1.csv", "a.csv.gz.csv"],
)
def test_an_odd_name_that_engines_can_take_is_read_and_filed_under_it(depot: Depot, name: str) -> None:
    [load] = settled(depot, {DMAP + name: TEXT})
    assert (load.status, load.archive_key) == (LoadStatus.ARCHIVED, DMAP + name)
    assert (depot.root / "archive" / DMAP / name).read_bytes() == TEXT
    with duckdb.connect(depot.platform.catalog.address, read_only=True) as catalog:
        found = catalog.table(a_table().name).filter(f"load_id = {load.id}").select("identifier, sample_id").fetchall()
    assert found == [(name, 1)]


@pytest.mark.parametrize(
    "name",
    [
        "a'b.csv",
        'a"b.csv',
        f"{INJECTION}.csv",
        "a\nb.csv",
        "a\r.csv",
        "a\tb.csv",
        "a\\..\\b.csv",
        "%2e%2e%2fb.csv",
        "*.csv",
        "[x].csv",
        "$(touch x).csv",
        "`touch x`.csv",
        "identifier=5.csv",
        "\u202evsc.csv",
        "\u2028.csv",
        "x" * 240 + ".csv",
        "日" * 80 + ".csv",
    ],
)
def test_a_name_that_engines_would_misread_ends_in_error_untouched(depot: Depot, name: str) -> None:
    [load] = settled(depot, {DMAP + name: TEXT})
    assert load.error_key == f"{DMAP}timestamp={load.version.modified_at:%Y%m%dT%H%M%SZ}/{name}"
    assert (depot.root / "error" / str(load.error_key)).read_bytes() == TEXT
    reasons = [key for key in depot.files("error") if key.endswith(".error.json")]
    assert [json.loads((depot.root / "error" / key).read_text())["code"] for key in reasons] == ["unusable_name"]


@pytest.mark.parametrize(
    "key",
    [
        f"{DMAP}../../../etc/passwd.csv",
        f"{DMAP}../20220305.csv",
        f"{DMAP}/20220305.csv",
        f"{DMAP}./20220305.csv",
        "cubic/dmap/../dmap/agg_sample/20220305.csv",
        f"{DMAP}{'d' * 240}/{'e' * 240}/{'f' * 240}/{'g' * 240}/20220305.csv",
    ],
)
def test_a_key_that_leads_elsewhere_is_left_where_it_is(depot: Depot, key: str) -> None:
    stores = replace(depot.platform.stores, incoming=Bucket({key: TEXT, GOOD: TEXT}))
    wall = tree(depot.root.parent / "etc")
    walled = replace(depot, platform=replace(depot.platform, stores=stores))
    walled.settle()
    assert walled.statuses() == {"20220304.csv": LoadStatus.ARCHIVED}
    assert stores.incoming.head(key) is not None
    assert tree(depot.root.parent / "etc") == wall
    assert walled.files("archive") == [GOOD]
    assert walled.files("error") == []


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)


@pytest.mark.slow
@settings(max_examples=3)
@given(names=st.lists(NAMES, min_size=20, max_size=60, unique=True))
def test_files_of_any_name_are_archived_or_in_error_with_their_reason(names: list[str]) -> None:
    keys = [f"{DMAP}n{name}.csv" for name in names]
    with TemporaryDirectory() as folder:
        depot = a_walled_depot(Path(folder))
        loads = settled(depot, dict.fromkeys(keys, TEXT))
        assert {load.version.key for load in loads} == set(keys)
        rejected = [load for load in loads if load.status is not LoadStatus.ARCHIVED]
        assert {reason(depot, load)["code"] for load in rejected} <= {"unusable_name"}


def test_a_name_that_no_folder_can_hold_stops_nothing_else(depot: Depot) -> None:
    awkward = [DMAP + name for name in ("..", ".hidden.csv", "..csv", "x" * 1000 + ".csv")]
    bucket = Bucket(dict.fromkeys([*awkward, GOOD], TEXT))
    stores = replace(depot.platform.stores, incoming=bucket)  # pyright: ignore[reportArgumentType] - it has what is asked of it
    mixed = replace(depot, platform=replace(depot.platform, stores=stores))
    mixed.settle()

    good = [load for load in mixed.loads() if load.version.key == GOOD]
    assert [load.status for load in good] == [LoadStatus.ARCHIVED]
    codes = {load.version.key: load.error.code for load in mixed.loads() if load.error}
    assert set(codes) == set(awkward)
    assert set(codes.values()) <= {"unusable_name", "unrecognised_name"}
