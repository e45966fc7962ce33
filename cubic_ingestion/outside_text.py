"""Text from outside: names and values of files, sidecars and APIs, made harmless for the people who read them.

Every output for people (terminal, log, Dagster's UI, metrics) passes such text through ``visible``. The database, and
the JSON that ``cubic`` prints for scripts, keep the exact name.
"""

import re

ACTING = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: they move the cursor, set colours, end lines
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # they turn the direction of the text, or end a line
    "\xad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # nobody sees them
    "\ud800-\udfff"  # no encoding takes them; Python reads a name that is not UTF-8 as such (PEP 383)
    "]"
)
"""Characters that act on the text around them, or on the program that shows it.

The joiners U+200C and U+200D are not among them: Persian, the scripts of India and emoji are written with them.
"""

_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_LAST_ASCII, _LAST_OF_FOUR_DIGITS = 0x7F, 0xFFFF
_FIRST_BYTE, _LAST_BYTE, _NO_BYTE = 0xDC80, 0xDCFF, 0xDC00


def visible(text: str) -> str:
    r"""Return a text as one line, in which each character that acts is shown as its escape.

    A byte of a name that is not UTF-8 is shown as ``\xe9``. Doing it twice changes nothing. A backslash stays as it is,
    so two names look the same if one has a character and the other has the letters of its escape.
    """
    return ACTING.sub(_escape, text)


def visible_name(name: str) -> str:
    r"""Return a name as ``visible`` does, with the blanks at its ends as escapes too: nobody sees those in a list.

    >>> visible_name("20220304.csv ")
    '20220304.csv\\x20'
    """
    shown = visible(name)
    inner = shown.strip()
    before, after = (shown[: shown.index(inner)], shown[shown.index(inner) + len(inner) :]) if inner else (shown, "")
    return "".join(map(_escaped, before)) + inner + "".join(map(_escaped, after))


def visible_lines(text: str) -> str:
    """Return a text of many lines, such as a traceback, with everything but its line feeds as ``visible`` shows it."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _escape(found: re.Match[str]) -> str:
    return _escaped(found.group())


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - _NO_BYTE:02x}"
    if code <= _LAST_ASCII:  # beyond ASCII, '\x' stands for a byte
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LAST_OF_FOUR_DIGITS else f"\\U{code:08x}"
