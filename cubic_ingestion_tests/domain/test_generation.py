"""Which generation is shown: the rule, by example."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from cubic_ingestion.domain.generation import Choice, Generation, LoadFile, Shown, choose_generation

NOON = datetime.fromisoformat("2022-03-04T12:00:00+00:00")
SETTLE = timedelta(hours=6)
OLD, NEW, NEWER = "20220301T000000Z", "20220304T090000Z", "20220304T110000Z"


def a_file(counter: str = "00000001", hours_ago: float = 1, segment: str = "", **changes: Any) -> LoadFile:
    """Build a LOAD file whose rows are in Springboard."""
    fields: dict[str, Any] = {"counter": (segment, counter), "has_rows": True}
    return LoadFile(1, f"LOAD{counter}.csv.gz", NOON - timedelta(hours=hours_ago), **(fields | changes))


OPEN: dict[str, Any] = {"is_open": True, "has_rows": False}
REJECTED: dict[str, Any] = {"is_rejected": True, "has_rows": False}


def a_generation(name: str, *files: LoadFile, has_changes: bool = False) -> Generation:
    return Generation(name, files or (a_file(),), has_changes)


@dataclass(frozen=True)
class Case:
    """What there is, and what is shown then."""

    story: str
    generations: Sequence[Generation]
    expected: str | None
    shown: Shown = field(default_factory=Shown)
    settles_in_hours: float | None = None
    newest: str | None = NEW


SHOWN = Shown(OLD)
CASES = [
    Case("a table without loads shows nothing", [], None, newest=None),
    Case("a full load without rows is not shown", [a_generation(NEW, a_file(**OPEN))], None),
    Case("the first is shown at once", [a_generation(NEW)], NEW),
    Case("the first is shown while files of it are open", [a_generation(NEW, a_file(), a_file("2", **OPEN))], NEW),
    Case("the first is shown with a file in Error", [a_generation(NEW, a_file(), a_file("2", **REJECTED))], NEW),
    Case(
        "of two that are not complete the older is shown first",
        [a_generation(NEW), a_generation(OLD)],
        OLD,
        settles_in_hours=5,
    ),
    Case(
        "of two that are not complete the older is shown first, if it has rows",
        [a_generation(OLD, a_file(**REJECTED)), a_generation(NEW)],
        NEW,
    ),
    Case("a complete one is shown before the oldest", [a_generation(OLD), a_generation(NEW, has_changes=True)], NEW),
    Case(
        "a reload waits for its first changes while changes of the old one arrive",
        [a_generation(NEW)],
        OLD,
        SHOWN,
        settles_in_hours=5,
    ),
    Case("a reload with changes is shown", [a_generation(NEW, has_changes=True)], NEW, SHOWN),
    Case(
        "a reload waits for an open file",
        [a_generation(NEW, a_file(), a_file("00000002", 0.5, **OPEN), has_changes=True)],
        OLD,
        SHOWN,
        settles_in_hours=5.5,
    ),
    Case(
        "a reload waits for a file in a gap of its counters",
        [a_generation(NEW, a_file(), a_file("00000003"), has_changes=True)],
        OLD,
        SHOWN,
        settles_in_hours=5,
    ),
    Case(
        "a gap in one segment counts",
        [a_generation(NEW, a_file("01", segment="1"), a_file("03", segment="1"), a_file("02"), has_changes=True)],
        OLD,
        SHOWN,
        settles_in_hours=5,
    ),
    Case(
        "hexadecimal counters have no gap between 9 and A, and none between F and 10",
        [a_generation(NEW, *(a_file(f"{n:08X}") for n in range(1, 18)), has_changes=True)],
        NEW,
        SHOWN,
    ),
    Case(
        "counters of 9 and 10 are decimal neighbours",
        [a_generation(NEW, a_file("00000009"), a_file("00000010"), has_changes=True)],
        NEW,
        SHOWN,
    ),
    Case(
        "a reload without changes is shown when it has settled",
        [a_generation(NEW, a_file(hours_ago=8), a_file("2", 6))],
        NEW,
        SHOWN,
    ),
    Case(
        "a reload has not settled just before",
        [a_generation(NEW, a_file(hours_ago=8), a_file("2", 5.75))],
        OLD,
        SHOWN,
        settles_in_hours=0.25,
    ),
    Case("a gap does not matter after that", [a_generation(NEW, a_file("1", 7), a_file("3", 7))], NEW, SHOWN),
    Case(
        "a file in Error keeps a reload back, however long ago it came",
        [a_generation(NEW, a_file(hours_ago=99), a_file("2", 99, **REJECTED), has_changes=True)],
        OLD,
        SHOWN,
    ),
    Case(
        "a reload without rows is not shown, however old it is",
        [a_generation(NEW, a_file("1", 99, **OPEN))],
        OLD,
        SHOWN,
    ),
    Case(
        "the newest complete one is shown",
        [a_generation(NEWER, has_changes=True), a_generation(NEW, has_changes=True)],
        NEWER,
        SHOWN,
        newest=NEWER,
    ),
    Case(
        "a complete one is shown while a newer one waits",
        [a_generation(NEWER), a_generation(NEW, has_changes=True)],
        NEW,
        SHOWN,
        settles_in_hours=5,
        newest=NEWER,
    ),
    Case(
        "of two that wait the first to settle says when",
        [a_generation(NEWER, a_file(hours_ago=3)), a_generation(NEW, a_file(hours_ago=2))],
        OLD,
        SHOWN,
        settles_in_hours=3,
        newest=NEWER,
    ),
    Case("what is shown stays if there is nothing newer", [], NEW, Shown(NEW)),
    Case("what a person switched back to stays", [], OLD, Shown(OLD, chosen_over=NEW)),
    Case(
        "after a switch back a newer one is shown when it is complete",
        [a_generation(NEWER, has_changes=True)],
        NEWER,
        Shown(OLD, chosen_over=NEW),
        newest=NEWER,
    ),
    Case(
        "after a switch back a newer one waits as always",
        [a_generation(NEWER)],
        OLD,
        Shown(OLD, chosen_over=NEW),
        settles_in_hours=5,
        newest=NEWER,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.story)
def test_which_generation_is_shown(case: Case) -> None:
    settles_at = None if case.settles_in_hours is None else NOON + timedelta(hours=case.settles_in_hours)

    choice = choose_generation(case.generations, case.shown, NOON, SETTLE)

    assert choice == Choice(case.expected, settles_at, case.newest)


@pytest.mark.parametrize(
    ("shown", "newer_than"), [(Shown(), ""), (Shown(OLD), OLD), (Shown(OLD, NEW), NEW), (Shown(NEW, NEW), NEW)]
)
def test_only_what_is_newer_than_a_choice_and_all_that_there_was_then_replaces_it(
    shown: Shown, newer_than: str
) -> None:
    assert shown.newer_than == newer_than


def test_a_generation_names_its_first_file_in_error() -> None:
    one, two = LoadFile(7, "LOAD1.csv", NOON, is_rejected=True), LoadFile(5, "LOAD2.csv", NOON, is_rejected=True)
    assert Generation(NEW, [one, two, a_file()]).rejected == two
    assert a_generation(NEW).rejected is None
