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
Respond = Callable[..., object]


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


@dataclass
class Refusals:
    """What is refused, and what was asked for."""

    refusal: Refusal = Refusal.SLOW_DOWN
    only: str = ""
    """The one verb that is refused; each is if empty."""
    times: int = 0
    """How often each verb is refused before it is let through; other requests of that verb are not refused again."""
    refused: Counter[str] = field(default_factory=Counter[str])
    """By verb."""
    asked: Counter[str] = field(default_factory=Counter[str])
    """By verb, with what was refused."""
    _lock: Lock = field(default_factory=Lock)

    def strikes(self, verb: str) -> bool:
        """Note a request, and say whether it is refused."""
        with self._lock:
            self.asked[verb] += 1
            if self.refused[verb] >= self.times or self.only not in ("", verb):
                return False
            self.refused[verb] += 1
            return True


@contextmanager
def refusing_s3(refusals: Refusals) -> Generator[str]:
    """Serve the buckets of this process's moto on a free port; gives the URL."""
    moto = DomainDispatcherApplication(create_backend_app)

    def answer(request: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        if not refusals.strikes(verb_of(request)):
            return moto(request, respond)
        if refusals.refusal is Refusal.ANSWER_LOST:
            b"".join(moto(request, lambda *_: None))
        status, _, code = refusals.refusal.value.partition(" ")
        body = b"" if request["REQUEST_METHOD"] == "HEAD" else _BODY.format(code=code).encode()
        respond(f"{status} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
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
