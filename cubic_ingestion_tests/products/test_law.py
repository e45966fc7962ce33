"""The engine and the reference interpreter agree on drawn streams, whatever their cut and order of arrival."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings

from cubic_ingestion.products.law import TableLaw
from cubic_ingestion_tests.products.interpreter import interpret, versions
from cubic_ingestion_tests.products.shelf import File, Shelf, as_versions
from cubic_ingestion_tests.products.streams import DAY, Stream, long_stream, sequence, streams

pytestmark = pytest.mark.slow
EXAMPLES = settings(max_examples=200)


def shelf_for(stream: Stream, **options: int) -> Shelf:
    """Return an empty shelf for a stream."""
    generation = stream.generation
    law = TableLaw(generation.key, generation.columns, is_full_image=generation.is_full_image)
    return Shelf(law, stream.types, snapshot_at=generation.snapshot_at, **options)


def filled(stream: Stream, **options: int) -> Shelf:
    """Return a shelf after all steps of a stream."""
    shelf = shelf_for(stream, **options)
    present: list[File] = []
    for files in stream.steps:
        leaving = [file for file in files if any(file is each for each in present)]
        arriving = [file for file in files if not any(file is each for each in present)]
        shelf.step(arriving, leaving)
        present = [file for file in [*present, *arriving] if not any(file is each for each in leaving)]
    return shelf


def versions_of(shelf: Shelf) -> list[str]:
    """Return the versions of a shelf in some order, as text."""
    return sorted(map(repr, as_versions(shelf.history(DAY), shelf.law)))


def expected_versions(stream: Stream) -> list[str]:
    """Return the versions of the law in the same order. Stamps are no columns of a version."""
    columns = stream.generation.columns
    return sorted(
        repr(replace(version, values={column: version.values[column] for column in columns}))
        for version in versions(interpret(stream.generation), DAY)
    )


def test_thousands_of_events_in_any_order_give_the_rows_and_versions_of_the_law() -> None:
    stream = long_stream(Random(14))  # noqa: S311 - drawn again from its seed, not secret
    shelf, expected = filled(stream, rows_per_group=50), interpret(stream.generation)

    assert shelf.by_key() == expected.rows
    assert shelf.orphans() == expected.orphans
    assert versions_of(shelf) == expected_versions(stream)


@EXAMPLES
@given(streams())
def test_any_cut_and_any_order_of_arrival_give_the_rows_of_the_law(stream: Stream) -> None:
    shelf = filled(stream)

    assert shelf.by_key() == interpret(stream.generation).rows


@EXAMPLES
@given(streams())
def test_the_files_of_a_generation_in_one_batch_give_the_rows_and_orphans_of_the_law(stream: Stream) -> None:
    shelf, generation = shelf_for(stream, rows_per_group=100), stream.generation
    shelf.step(generation.loads)
    shelf.step(generation.changes)
    expected = interpret(generation)

    assert shelf.by_key() == expected.rows
    assert shelf.n_orphans == len(expected.orphans)
    assert shelf.refused == expected.refused_loads


@EXAMPLES
@given(streams())
def test_orphans_and_duplicate_keys_are_listed_as_the_law_says(stream: Stream) -> None:
    shelf, expected = filled(stream), interpret(stream.generation)

    assert shelf.orphans() == expected.orphans
    assert shelf.duplicate_keys() == expected.duplicate_keys


@EXAMPLES
@given(streams())
def test_history_has_the_versions_of_the_law(stream: Stream) -> None:
    assert versions_of(filled(stream)) == expected_versions(stream)


@EXAMPLES
@given(streams())
def test_the_versions_that_are_valid_at_a_sequence_are_the_rows_of_the_law_up_to_it(stream: Stream) -> None:
    shelf = filled(stream)
    found = as_versions(shelf.history(DAY), shelf.law)

    for seq in map(sequence, range(6)):
        valid = [
            each
            for each in found
            if (each.from_seq is None or each.from_seq <= seq) and (each.to_seq is None or each.to_seq > seq)
        ]
        law = interpret(stream.generation, up_to=seq).rows
        columns = stream.generation.columns
        assert {each.key: each.values for each in valid} == {
            key: {column: row[column] for column in columns} for key, row in law.items()
        }
        assert len(valid) == len(law)
