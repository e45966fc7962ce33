"""How a delimited file is written: the characters that separate, quote and stand for NULL."""

from dataclasses import dataclass

_RECORD_DELIMITERS = frozenset({"\n", "\r\n", "\r"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """The format options of a delimited file; the defaults are what every known sidecar states.

    Raises:
        ValueError: An option cannot be read; the message names it.
    """

    delimiter: str = ","
    """Between two fields; one ASCII character."""
    record_delimiter: str = "\n"
    """Between two records. Any of the three usual line ends is understood, whichever is stated."""
    null_value: str = ""
    r"""The unquoted text that stands for NULL; the same text in quotes is a value.

    No character of it may have a meaning of its own, which the reader would see first: with the escape ``\``, ``\N``
    would be the text ``N``."""
    quote: str = '"'
    """Around a field that holds delimiters or line ends; doubled inside one. Empty: nothing is quoted."""
    escape: str = ""
    """Before a character that is to be taken as it is. Empty, or the same as ``quote``: there is none."""

    def __post_init__(self) -> None:
        """Refuse what no reader here can follow."""
        for option, value, is_optional in (
            ("fieldDelimiter", self.delimiter, False),
            ("quoteChar", self.quote, True),
            ("escapeChar", self.escape, True),
        ):
            if not _is_one_character(value) and not (is_optional and not value):
                message = f"{option} is {value!r}, where one ASCII character is needed"
                raise ValueError(message)
        if self.record_delimiter not in _RECORD_DELIMITERS:
            message = f"recordDelimiter is {self.record_delimiter!r}, where a line end is needed"
            raise ValueError(message)
        acting = {self.delimiter, self.quote, self.escape, "\r", "\n"}
        for character in self.null_value:
            if character in acting:
                message = f"nullValue is {self.null_value!r}, and {character!r} has a meaning of its own"
                raise ValueError(message)


def _is_one_character(value: str) -> bool:
    return len(value) == 1 and value.isascii() and value not in "\r\n"
