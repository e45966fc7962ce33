"""Inert texts: a text from outside stays text, as a parser of Markdown reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cubic_ingestion.defs.inert_text import code, inert, listed

LIVE = [
    "![x](http://planted.example/x.png)",
    "[login again](http://planted.example/)",
    "http://planted.example/ www.planted.example me@planted.example",
    "<http://planted.example/>",
    "<img src=http://planted.example/x.png onerror=alert(1)>",
    "![x][1]\n\n[1]: http://planted.example/x.png",
    "` ![x](http://planted.example/x.png) `",
    "``` ![x](http://planted.example/x.png)",
    "a | b\n--- | ---\n![x](http://planted.example/x.png) | c",
    "\\` ![x](http://planted.example/x.png)",
    "&#33;&#91;x&#93;(http://planted.example/x.png)",
    "`",
    "",
    "  ",
    " a ",
]


def shown(markdown: str) -> list[tuple[str, str]]:
    """Return what a parser makes of one item of a list: the kinds and contents of its parts."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    assert [token.type for token in tokens] == [
        "bullet_list_open",
        "list_item_open",
        "paragraph_open",
        "inline",
        "paragraph_close",
        "list_item_close",
        "bullet_list_close",
    ]
    return [(token.type, token.content) for token in tokens[3].children or ()]


@pytest.mark.parametrize("text", LIVE)
def test_nothing_in_a_text_from_outside_is_live(text: str) -> None:
    assert shown(f"* {code(text)}") == [("code_inline", inert(text) or " ")]


@given(st.text(st.sampled_from("`![]()<>\\ |a\n\x1b*_:&#;") | st.characters(codec=None), max_size=20))
def test_any_text_is_one_code_span_and_nothing_else(text: str) -> None:
    assert shown(f"* {code(text)}") == [("code_inline", inert(text) or " ")]


def test_a_list_shows_so_many_and_counts_the_others() -> None:
    assert listed([], 2).value == "none"
    assert listed(["a", "b`c"], 2).value == "* `a`\n* ``b`c``"
    assert listed(["a", "b", "c"], 2, command="cubic audit").value == "* `a`\n* `b`\n* and 1 more: `cubic audit`"
    assert listed(["a"], 1, n_texts=1_001).value == "* `a`\n* and 1,000 more"


def test_addresses_are_broken_since_the_log_of_a_run_makes_links_of_them() -> None:
    assert inert("see http://a.example/ or HTTPS://b.example") == "see http[:]//a.example/ or HTTPS[:]//b.example"
    assert inert(inert("http://a.example/\x1b")) == inert("http://a.example/\x1b") == r"http[:]//a.example/\x1b"
    assert inert("s3://bucket/key and file:///key") == "s3://bucket/key and file:///key"
