"""Where in a TOML file something stands; the parser does not tell."""

import re

_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""' r"|'''.*?'''" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'" r"|#[^\n]*", re.DOTALL
)
_ENTRY = re.compile(r"\s*\[\[\s*table\s*\]\]")
_SECTION = re.compile(r"\s*\[(?!\[)")


def top_level_line(text: str, key: str) -> int:
    """Return the line, counted from 1, of a key or header outside every entry; 1 if it is not found."""
    wanted = re.compile(rf"""\s*\[{{0,2}}\s*["']?{re.escape(key)}\b""")
    return next((number for number, line in enumerate(_blanked(text), start=1) if wanted.match(line)), 1)


def entry_line(text: str, index: int) -> int:
    """Return the line, counted from 1, of the ``[[table]]`` with an index counted from 0; 1 if it is not found."""
    starts = _entry_starts(_blanked(text))
    return starts[index] + 1 if index < len(starts) else 1


def key_line(text: str, index: int, key: str, *, in_section: bool) -> int:
    """Return the line of a key of an entry, or the line the entry begins at.

    Args:
        text: The whole file.
        index: The entry's index, counted from 0.
        key: Name of the key.
        in_section: Whether the key stands below a ``[table.…]`` header of the entry, rather than before it.
    """
    lines = _blanked(text)
    starts = [*_entry_starts(lines), len(lines)]
    wanted = re.compile(rf"""\s*\[?(?:table\.)?["']?{re.escape(key)}["']?\s*[=.\]]""")
    is_in_section = False
    for number in range(starts[index] + 1, starts[index + 1]) if index + 1 < len(starts) else ():
        is_header = _SECTION.match(lines[number]) is not None
        if (is_in_section == in_section or (is_header and not in_section)) and wanted.match(lines[number]):
            return number + 1
        is_in_section = is_in_section or is_header
    return entry_line(text, index)


def _entry_starts(lines: list[str]) -> list[int]:
    return [number for number, line in enumerate(lines) if _ENTRY.match(line)]


def _blanked(text: str) -> list[str]:
    """Return the lines without what only looks like TOML: the inner lines of strings over several lines."""
    return _STRING_OR_COMMENT.sub(_one_line_as_it_is, text).split("\n")


def _one_line_as_it_is(match: re.Match[str]) -> str:
    n_lines = match[0].count("\n")
    return match[0] if n_lines == 0 else '""' + "\n" * n_lines
