"""HTTP on localhost: takes requests, and sends answers as they are meant to go wrong."""

import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from cubic_ingestion.fake_vendor.answers import Answer, Ending

_LOOK_EVERY_SECONDS = 0.02


@dataclass(frozen=True)
class Exchange:
    """An answer, and whom to tell that it is out."""

    answer: Answer
    end: Callable[[], None]
    """Called before the client can know that it has everything: what it does next comes after."""


Respond = Callable[[str, Message], Exchange]
"""From a request's path and query, and its headers, to what it is answered with."""


class VendorServer(ThreadingHTTPServer):
    """A server that ends when it is told to, whatever its clients do."""

    daemon_threads = False  # all are joined in the end
    allow_reuse_port = False  # later Pythons would share a port with whoever has it
    request_queue_size = 128

    def __init__(self, respond: Respond, port: int) -> None:
        self._open_lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._released = threading.Event()
        self._is_stopping = False
        super().__init__(("127.0.0.1", port), partial(_Conversation, respond))

    def server_bind(self) -> None:
        """Bind, without the look-up of the host's name that the standard library makes here."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.socket.getsockname()[1])

    def serve(self) -> None:
        """Answer until stopped."""
        self.serve_forever(poll_interval=_LOOK_EVERY_SECONDS)

    def stop(self) -> None:
        """End every conversation, and wait for its thread."""
        self.shutdown()
        self._is_stopping = True
        self.release()
        with self._open_lock:
            for connection in self._open:
                _shut(connection)
        self.server_close()

    def release(self) -> None:
        """Let the connections go that are held now."""
        held, self._released = self._released, threading.Event()
        held.set()

    def next_release(self) -> threading.Event:
        """Return what the next release sets."""
        return self._released

    def hold(self, connection: socket.socket, released: threading.Event) -> None:
        """Wait until released, or until the client has gone."""
        while not self._is_stopping and not _is_gone(connection):
            if released.wait(_LOOK_EVERY_SECONDS):
                return

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's signature
        """Begin a conversation in a thread of its own."""
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's signature
        """End a conversation."""
        with self._open_lock:
            self._open.discard(request)
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's signature
        """Say nothing of clients that have gone; what else went wrong is a defect, and is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Conversation(BaseHTTPRequestHandler):
    """One client's connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, respond: Respond, request: Any, client_address: Any, server: VendorServer) -> None:  # noqa: ANN401 - socketserver's signature
        self._respond = respond
        self._vendor = server
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        """Answer a request."""
        released = self._vendor.next_release()  # before the request is on record: who saw it there may release it
        exchange = self._respond(self.path, self.headers)
        try:
            self._send(exchange)
            if exchange.answer.ending is Ending.HANG:
                self._vendor.hold(self.connection, released)
        finally:
            exchange.end()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Print nothing: a line has the signature of a link in it."""

    def _send(self, exchange: Exchange) -> None:
        answer = exchange.answer
        if not answer.is_silent:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.ending is not Ending.KEEP:
                self.send_header("Connection", "close")
            if not answer.body:
                exchange.end()
            self.end_headers()
            self.wfile.write(answer.body[:-1])
            exchange.end()
            self.wfile.write(answer.body[-1:])
        exchange.end()
        if answer.ending is not Ending.KEEP:
            self.close_connection = True


def _is_gone(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was quicker
