"""Text from outside is shown, and acts on nobody."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubic_ingestion.errors import RejectedLoadError, StoreUnavailableError
from cubic_ingestion.outside_text import visible, visible_lines, visible_name

JOINERS = "\u200c\u200d"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("20220304\x1b[2J.csv", r"20220304\x1b[2J.csv"),
        ("a\nerror: ALL LOST.csv", r"a\nerror: ALL LOST.csv"),
        ("a\r\tb\x00\x7f", r"a\r\tb\x00\x7f"),
        ("\x9b31mred", r"\u009b31mred"),
        ("\u202evsc.exe", r"\u202evsc.exe"),
        ("\u2066a\u2069\u200e\u061c", r"\u2066a\u2069\u200e\u061c"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("in\u200bvisible\ufeff", r"in\u200bvisible\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
        (b"caf\xe9_20220305.csv".decode("utf-8", "surrogateescape"), r"caf\xe9_20220305.csv"),
        ("half \ud83d of a pair", r"half \ud83d of a pair"),
    ],
)
def test_what_acts_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a/20220304.csv",
        "Ünïcode 日本語 \u3000 🚋",
        "cafe\u0301",
        "क्\u200dष",
        "\u0645\u06cc\u200c\u062e",
        "👩\u200d🚀",
        "\\x1b\xa0",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_one_line_that_every_encoding_takes_and_doing_it_twice_changes_nothing(text: str) -> None:
    shown = visible(text)

    assert visible(shown) == shown
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
    assert {unicodedata.category(character) for character in shown if character not in JOINERS} & {"Cc", "Cs"} == set()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("20220304.csv ", r"20220304.csv\x20"),
        (" a b\u00a0", r"\x20a b\u00a0"),
        ("\u3000", r"\u3000"),
        ("  ", r"\x20\x20"),
        ("", ""),
    ],
)
def test_the_blanks_at_the_ends_of_a_name_are_shown(name: str, shown: str) -> None:
    assert visible_name(name) == shown
    assert visible_name(shown) == shown


def test_the_lines_of_a_longer_text_stay_lines() -> None:
    assert visible_lines("Traceback:\n  a\x1b[2J\n\x85") == "Traceback:\n  a\\x1b[2J\n\\u0085"


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailableError("a\x1b[2J\n\udce9.csv", "odd \x07 answer"),
        RejectedLoadError("bad_value", "Value a\x1b[2J\n\udce9 is no int64.", column="x\x1b"),
    ],
)
def test_a_message_of_ours_is_one_line_whatever_it_quotes(error: Exception) -> None:
    assert r"a\x1b[2J\n\xe9" in str(error)
    assert visible(str(error)) == str(error)
