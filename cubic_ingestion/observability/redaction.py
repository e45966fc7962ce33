"""Redaction: what must not stand in a log is taken out of every line, wherever in it it stands."""

import re
from collections.abc import Collection, Mapping
from typing import cast

from structlog.typing import EventDict, WrappedLogger

REDACTED = "***"

_SECRET_NAME = re.compile(
    r"passw(or)?d|secret|token|api_?key|authorization|credential|signature|private_?key", re.IGNORECASE
)
_USERINFO = re.compile(r"(?P<start>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/]+(?=@)", re.IGNORECASE)
_PARAMETER = re.compile(
    r"(?P<start>[?&](?:sig|signature|apikey|api_key|key|token|x-amz-(?:signature|credential|security-token))=)[^&\s\"']+",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(
    r"(?P<start>\b[\w-]*(?:passw(?:or)?d|secret|token|api_?key|authorization)[\w-]*[\"']?\s*[=:]\s*)"
    r"(?P<value>\"[^\"]*\"|'[^']*'|(?:bearer |basic )?[^\s,;&\"']+)",
    re.IGNORECASE,
)


class Redactor:
    """A structlog processor that replaces secrets: known ones, values of telling names, and parts of URLs.

    Args:
        secrets: Texts that are secret wherever they stand.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        # The longest first: one may be part of another.
        known = [re.escape(secret) for secret in sorted(secrets, key=len, reverse=True) if secret]
        self._known = re.compile("|".join(known)) if known else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Redact one event."""
        return {name: self._value(name, value) for name, value in event.items()}

    def text(self, text: str) -> str:
        """Redact one text."""
        if self._known:
            text = self._known.sub(REDACTED, text)
        for pattern in (_USERINFO, _PARAMETER, _ASSIGNMENT):
            text = pattern.sub(rf"\g<start>{REDACTED}", text)
        return text

    def _value(self, name: str, value: object) -> object:
        if isinstance(value, bool | int | float) or value is None or name.startswith("_"):
            return value  # '_record' and its like are structlog's own
        if _SECRET_NAME.search(name):
            return REDACTED
        if isinstance(value, Mapping):
            pairs = cast("Mapping[object, object]", value).items()
            return {str(key): self._value(str(key), inner) for key, inner in pairs}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(name, inner) for inner in cast("Collection[object]", value)]
        return self.text(value if isinstance(value, str) else str(value))
