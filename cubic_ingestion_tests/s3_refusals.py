"""An S3 that refuses: moto's buckets behind an HTTP server that answers each request, at first, with an error."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

_BODY = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>Please try again.</Message></Error>'
_BODIES = {
    "200 OK": "<html><body>Please log in.</body></html>",
    "500 Internal": '<?xml version="1.0" encoding="UTF-8"?><Error><Code>Inter',
}
"""By refusal; ``_BODY`` for any other."""
Respond = Callable[..., object]
Headers = list[tuple[str, str]]


class Refusal(StrEnum):
    """How a request is refused."""

    SLOW_DOWN = "503 SlowDown"
    """Nothing was done."""
    INTERNAL_ERROR = "500 InternalError"
    """Nothing was done."""
    ANSWER_LOST = "503 ServiceUnavailable"
    """It was done, and the answer does not say so."""
    ACCESS_DENIED = "403 AccessDenied"
    """Nothing was done, and nothing will be."""
    ERROR_IN_SUCCESS = "200 InternalError"
    """Nothing was done, and only the body says so: that is how S3 answers when an upload is completed."""
    A_PAGE = "200 OK"
    """Nothing was done. The answer is a page of a proxy."""
    BROKEN_XML = "500 Internal"
    """Nothing was done. The body is XML that ends too early."""
    CUT_OFF = "500 CutOff"
    """Nothing was done. The connection is closed before the end of the body."""
    STRANGE_HEADERS = "200 Strange"
    """It was done, and the answer has headers that no S3 sends."""
    NO_ETAG = "200 NoETag"
    """It was done, and the answer does not name the version."""


@dataclass
class Refusals:
    """What is refused, and what was asked for."""

    refusal: Refusal = Refusal.SLOW_DOWN
    only: str = ""
    """The one verb that is refused; each is if empty."""
    only_key: str = ""
    """The end of the one key that is refused; each is if empty."""
    times: int = 0
    """How often each verb is refused before it is let through; other requests of that verb are not refused again."""
    ignored: frozenset[str] = frozenset()
    """Headers of requests that the server takes no notice of, as WSGI names them."""
    refused: Counter[str] = field(default_factory=Counter[str])
    """By verb."""
    asked: Counter[str] = field(default_factory=Counter[str])
    """By verb, with what was refused."""
    _lock: Lock = field(default_factory=Lock)

    def strikes(self, verb: str, key: str) -> bool:
        """Note a request, and say whether it is refused."""
        with self._lock:
            self.asked[verb] += 1
            if self.refused[verb] >= self.times or self.only not in ("", verb) or not key.endswith(self.only_key):
                return False
            self.refused[verb] += 1
            return True


_CHANGED_HEADERS: dict[Refusal, Callable[[Headers], Headers]] = {
    Refusal.NO_ETAG: lambda headers: [each for each in headers if each[0].lower() != "etag"],
    Refusal.STRANGE_HEADERS: lambda headers: [
        (name, "the day before yesterday" if name.lower() == "last-modified" else value) for name, value in headers
    ],
}


@contextmanager
def refusing_s3(refusals: Refusals) -> Generator[str]:
    """Serve the buckets of this process's moto on a free port; gives the URL."""
    moto = DomainDispatcherApplication(create_backend_app)

    def answer(request: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        for header in refusals.ignored:
            request.pop(header, None)
        if not refusals.strikes(verb_of(request), request["PATH_INFO"]):
            return moto(request, respond)
        if refusals.refusal is Refusal.ANSWER_LOST:
            b"".join(moto(request, lambda *_: None))
        if changed := _CHANGED_HEADERS.get(refusals.refusal):
            return moto(request, lambda status, headers, *rest: respond(status, changed(headers), *rest))
        if refusals.refusal is Refusal.CUT_OFF:  # the server closes a connection once the request was read
            request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
        status, _, code = refusals.refusal.value.partition(" ")
        body = _BODIES.get(refusals.refusal, _BODY).format(code=code).encode()
        if request["REQUEST_METHOD"] == "HEAD":
            body = b""
        n_bytes = len(body) + (refusals.refusal is Refusal.CUT_OFF)
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(n_bytes)), ("Connection", "close")]
        respond(f"{status} {code}", headers)
        return [body]

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever, args=(0.01,))  # how often it looks whether it is to end
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def verb_of(request: dict[str, Any]) -> str:
    """Name what is asked of S3, as botocore does."""
    query = parse_qs(request["QUERY_STRING"], keep_blank_values=True)
    match request["REQUEST_METHOD"], "uploads" in query, "uploadId" in query, "list-type" in query:
        case "POST", True, _, _:
            return "CreateMultipartUpload"
        case "POST", _, True, _:
            return "CompleteMultipartUpload"
        case "PUT", _, True, _:
            return "UploadPart"
        case "DELETE", _, True, _:
            return "AbortMultipartUpload"
        case "GET", _, _, True:
            return "ListObjectsV2"
        case method, *_:
            return f"{method.title()}Object"
