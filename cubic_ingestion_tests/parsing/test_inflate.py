"""Gzip and plain files, by their bytes."""

import gzip
import io

import pytest

from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.inflate import InflateLimits, open_text, read_up_to

TEXT = b"a,b\n" * 1000
PACKED = gzip.compress(TEXT, mtime=0)


def inflated(data: bytes) -> bytes:
    return read_up_to(open_text(io.BytesIO(data)), 1 << 20)


@pytest.mark.parametrize("data", [TEXT, b"\x1f", b"\x1f\x8c", b"a"])
def test_a_plain_file_is_left_as_it_is(data: bytes) -> None:
    assert inflated(data) == data


def test_gzip_is_inflated() -> None:
    assert inflated(PACKED) == TEXT


def test_several_gzip_members_are_one_text() -> None:
    assert inflated(PACKED + gzip.compress(b"", mtime=0) + PACKED) == TEXT + TEXT


def test_zero_bytes_after_the_last_member_are_padding() -> None:
    assert inflated(PACKED + bytes(512)) == TEXT


def test_reading_stops_at_the_size_asked_for() -> None:
    assert read_up_to(open_text(io.BytesIO(PACKED)), 10) == TEXT[:10]


def test_a_file_opened_at_its_start_is_left_open() -> None:
    body = io.BytesIO(PACKED)
    open_text(body).read(1)
    assert not body.closed


@pytest.mark.parametrize(
    "data",
    [
        PACKED[:-1],
        PACKED[:-9],
        PACKED[:12],
        PACKED[:2],
        PACKED + PACKED[:30],
        PACKED + b"trailing garbage",
        PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:],
        PACKED[:-1] + b"\x01",
        PACKED[:15] + b"\xff\xff\xff" + PACKED[18:],
    ],
    ids=[
        "cut in the length",
        "cut in the data",
        "cut early",
        "cut at once",
        "second member cut",
        "garbage",
        "checksum",
        "length",
        "data",
    ],
)
def test_a_damaged_gzip_stream_rejects_the_load(data: bytes) -> None:
    with pytest.raises(RejectedLoadError) as caught:
        inflated(data)
    assert caught.value.code == "gzip_damaged"


def test_a_file_without_a_byte_rejects_the_load() -> None:
    with pytest.raises(RejectedLoadError) as caught:
        open_text(io.BytesIO())
    assert caught.value.code == "empty_file"


def test_a_stream_that_inflates_without_end_is_given_up() -> None:
    bomb = gzip.compress(b"0" * (80 << 20), 9, mtime=0)
    stream = open_text(io.BytesIO(bomb))
    with pytest.raises(RejectedLoadError, match="max_inflation_ratio") as raised:
        read_up_to(stream, 80 << 20)
    assert raised.value.code == "gzip_bomb"


def test_a_stream_may_be_limited_in_bytes_and_reaches_them() -> None:
    text = gzip.compress(b"0123456789", mtime=0)
    assert open_text(io.BytesIO(text), InflateLimits(most_bytes=10)).read() == b"0123456789"
    with pytest.raises(RejectedLoadError, match="max_inflated_bytes"):
        open_text(io.BytesIO(text), InflateLimits(most_bytes=9)).read()
