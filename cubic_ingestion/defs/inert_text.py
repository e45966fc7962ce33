"""Inert texts: how texts from outside get into Dagster's UI, and stay text.

The UI makes a link of every address in the log of a run, so ``inert`` breaks addresses. It reads Markdown with GitHub's
extensions, which make links even of addresses that are escaped with backslashes or character references. In a code
span nothing is live.
"""

import re
from collections.abc import Sequence

import dagster as dg

from cubic_ingestion.outside_text import visible

_ADDRESS = re.compile("(https?)://", re.IGNORECASE)
_BACKTICKS = re.compile("`+")


def inert(text: str) -> str:
    """Return a text from outside as ``visible`` shows it, with ``http[:]//`` where an address begins."""
    return _ADDRESS.sub(r"\1[:]//", visible(text))


def code(text: str) -> str:
    """Return a code span in Markdown that shows a text from outside."""
    shown = inert(text) or " "
    fence = "`" * (max(map(len, _BACKTICKS.findall(shown)), default=0) + 1)
    pad = " " if {shown[0], shown[-1]} & {"`", " "} and shown.strip(" ") else ""  # one on each side is taken off
    return f"{fence}{pad}{shown}{pad}{fence}"


def listed(
    texts: Sequence[str], most: int, *, n_texts: int | None = None, command: str = ""
) -> dg.MarkdownMetadataValue:
    """Return a list of texts from outside.

    Args:
        texts: The texts, without Markdown.
        most: The maximum number shown.
        n_texts: How many there are, if not all are among ``texts``.
        command: The command that prints all of them, if there is one.
    """
    lines = [f"* {code(text)}" for text in texts[:most]]
    n_more = (n_texts or len(texts)) - len(lines)
    if n_more > 0:
        lines.append(f"* and {n_more:,} more" + (f": {code(command)}" if command else ""))
    return dg.MetadataValue.md("\n".join(lines) or "none")
