"""``__current`` of a depot into which drawn streams are delivered has the rows of the law, after every step."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cubic_ingestion.products import current, key_files
from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.products.interpreter import interpret
from cubic_ingestion_tests.products.posted import Post, posted
from cubic_ingestion_tests.products.streams import Stream, long_stream, streams

pytestmark = pytest.mark.slow

BASE, CT = "cubic__ods_qlik__edw_sample", "cubic__ods_qlik__edw_sample__ct"


@dataclass(frozen=True)
class Way:
    """How a stream is merged: the sizes at which a merge takes another path, and what is updated after each step."""

    slice_cells: int = current.SLICE_CELLS
    most_late_rows: int = current.MOST_LATE_ROWS
    target_bytes: int = key_files.TARGET_BYTES
    opens_last: bool = False
    """Whether the snapshot is opened after all other files have come."""
    updates: Sequence[Sequence[str]] = ()
    """The tables whose products are updated after each step; both if none are given."""

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(current, "SLICE_CELLS", self.slice_cells)
        patch.setattr(current, "MOST_LATE_ROWS", self.most_late_rows)
        patch.setattr(key_files, "TARGET_BYTES", self.target_bytes)


WAYS = st.builds(
    Way,
    slice_cells=st.sampled_from([current.SLICE_CELLS, 1, 25]),
    most_late_rows=st.sampled_from([current.MOST_LATE_ROWS, current.MOST_LATE_ROWS, 0, 2]),
    target_bytes=st.sampled_from([key_files.TARGET_BYTES, 1, 10_000]),
    opens_last=st.sampled_from([False] * 7 + [True]),
    updates=st.lists(st.sampled_from([(BASE, CT), (CT,), (BASE,), ()]), min_size=8, max_size=8),
)


def update(depot: Depot, tables: Sequence[str] = (BASE, CT)) -> None:
    """Update the products of some tables, without any refusing."""
    depot.settle()
    assert update_products(depot.platform, tables, run_id="test").refused == {}


def deliver(root: Path, stream: Stream, way: Way) -> Post:
    """Deliver a stream and compare the rows with those of the law after each step that updates both products."""
    post = Post.to(root, stream)
    steps = [[], *stream.steps]
    for number, files in enumerate(steps):
        if number == (len(steps) - 1 if way.opens_last else 0):
            post.open()
        post.put(files)
        tables = way.updates[number % len(way.updates)] if way.updates else (BASE, CT)
        update(post.depot, tables)
        if len(tables) > 1 and not way.opens_last:
            assert post.shown() == post.expected(), number
    update(post.depot)
    assert post.shown() == post.stored() == post.expected()
    return post


# An example takes a second, so nobody should wait for smaller ones.
@settings(
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)
@given(streams().map(posted), WAYS)
def test_after_each_step_of_a_stream_the_rows_are_those_of_the_law(stream: Stream, way: Way) -> None:
    with TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        way.patch(patch)
        post = deliver(Path(root), stream, way)
        held = post.depot.platform.ledger.products.held(BASE)

        assert {load_id for load_id, each in held.items() if each.refused} == refused_by_the_law(post)


def refused_by_the_law(post: Post) -> set[int]:
    return interpret(post.present()).refused_loads


def test_thousands_of_changes_in_any_order_give_the_rows_of_the_law(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Way(slice_cells=2_000, target_bytes=10_000)
    way.patch(monkeypatch)

    deliver(tmp_path, posted(long_stream(Random(14))), way)  # noqa: S311 - drawn again from its seed, not secret
