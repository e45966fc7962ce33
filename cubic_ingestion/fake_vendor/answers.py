"""What goes out to a client: honest answers, as the vendor's API and its blob store word them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus

_EXPIRED = """<?xml version="1.0" encoding="utf-8"?>
<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request. Make sure the value of \
Authorization header is formed correctly including the signature.</Message></Error>"""


class Ending(Enum):
    """What becomes of the connection after an answer."""

    KEEP = "keep"
    CLOSE = "close"
    HANG = "hang"


@dataclass(frozen=True)
class Answer:
    """Status, headers and body, and how the connection goes on."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    ending: Ending = Ending.KEEP
    is_silent: bool = False
    """Nothing at all is sent, not even the status."""

    @property
    def is_good(self) -> bool:
        """Whether it has what was asked for."""
        return self.status == HTTPStatus.OK

    def with_body(self, body: bytes, content_type: str | None = None) -> "Answer":
        """Return the answer with another body, its length with it."""
        headers = {**self.headers, "Content-Length": str(len(body))}
        return replace(self, body=body, headers=headers | ({"Content-Type": content_type} if content_type else {}))

    def with_headers(self, **headers: str) -> "Answer":
        """Return the answer with headers added or replaced; ``_`` stands for ``-``."""
        return replace(self, headers={**self.headers, **{name.replace("_", "-"): headers[name] for name in headers}})


def answer(status: int, body: bytes, content_type: str) -> Answer:
    """Make an answer that is sent whole."""
    return Answer(status, {"Content-Type": content_type, "Content-Length": str(len(body))}, body)


def listed(results: Sequence[object]) -> Answer:
    """Answer a list."""
    return as_json(200, {"success": True, "results": results})


def as_json(status: int, value: object) -> Answer:
    """Answer with JSON."""
    return answer(status, json.dumps(value).encode(), "application/json; charset=utf-8")


def failed(status: int, message: str) -> Answer:
    """Answer that a request is wrong, as JSON."""
    return as_json(status, {"success": False, "statusCode": status, "message": message})


def blob(body: bytes) -> Answer:
    """Answer with a file. It is its gzip that is the content, so there is no ``Content-Encoding``."""
    return answer(200, body, "application/octet-stream")


def expired() -> Answer:
    """Answer a link whose signature holds no longer: XML, from the blob store."""
    return answer(403, _EXPIRED.encode(), "application/xml")
