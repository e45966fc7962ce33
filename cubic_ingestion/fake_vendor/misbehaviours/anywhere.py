"""What any server does at times: refuse, redirect, hang, break off, or answer with a page."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from cubic_ingestion.fake_vendor.answers import Answer, Ending, answer, expired, failed
from cubic_ingestion.fake_vendor.armed import Misbehaviour

_HTML = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>We will be back soon.</body></html>"
_XML = b'<?xml version="1.0" encoding="utf-8"?><Error><Code>ServerBusy</Code></Error>'


def failure(status: int, *, retry_after_seconds: int | None = None, as_date: bool = False) -> Misbehaviour:
    """Answer with a status of error, and when to try again: in seconds, or as a date."""

    def misbehave(_: Answer) -> Answer:
        refused = failed(status, "This is a misbehaviour.")
        if retry_after_seconds is None:
            return refused
        at = format_datetime(datetime.now(UTC) + timedelta(seconds=retry_after_seconds), usegmt=True)
        return refused.with_headers(Retry_After=at if as_date else str(retry_after_seconds))

    return misbehave


def too_many_requests(retry_after_seconds: int | None = 1, *, as_date: bool = False) -> Misbehaviour:
    """Answer 429."""
    return failure(429, retry_after_seconds=retry_after_seconds, as_date=as_date)


def link_expired() -> Misbehaviour:
    """Answer 403 with XML, as to an expired link, though the link lives on."""
    return lambda _: expired()


def redirected(location: str) -> Misbehaviour:
    """Send the client to another path or host."""
    return lambda _: answer(302, b"", "text/html").with_headers(Location=location)


def time_out() -> Misbehaviour:
    """Answer nothing until released, or until the client has gone."""
    return lambda honest: replace(honest, is_silent=True, ending=Ending.HANG)


def dropped() -> Misbehaviour:
    """Close the connection without an answer."""
    return lambda honest: replace(honest, is_silent=True, ending=Ending.CLOSE)


def stalled(after_bytes: int) -> Misbehaviour:
    """Send the beginning of the body, then nothing until released, or until the client has gone."""
    return lambda honest: replace(honest, body=honest.body[:after_bytes], ending=Ending.HANG)


def truncated(after_bytes: int) -> Misbehaviour:
    """Close the connection after the beginning of the body, which is less than its length says."""
    return lambda honest: replace(honest, body=honest.body[:after_bytes], ending=Ending.CLOSE)


def without_length(after_bytes: int | None = None) -> Misbehaviour:
    """Give no length: the body ends with the connection, perhaps too early."""

    def misbehave(honest: Answer) -> Answer:
        headers = {name: value for name, value in honest.headers.items() if name != "Content-Length"}
        return replace(honest, headers=headers, body=honest.body[:after_bytes], ending=Ending.CLOSE)

    return misbehave


def html() -> Misbehaviour:
    """Answer 200 with a web page."""
    return lambda _: answer(200, _HTML, "text/html; charset=utf-8")


def xml() -> Misbehaviour:
    """Answer 200 with XML, of the kind in which blob stores word errors."""
    return lambda _: answer(200, _XML, "application/xml")


def meanwhile(action: Callable[[], object]) -> Misbehaviour:
    """Answer honestly; after the answer was made and before it is sent, something happens.

    A restatement, and the results shift before the next page; a barrier's ``wait``, and downloads meet.
    """

    def misbehave(honest: Answer) -> Answer:
        action()
        return honest

    return misbehave
