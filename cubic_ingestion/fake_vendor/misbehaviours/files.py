"""What goes wrong with files alone."""

import gzip

from cubic_ingestion.fake_vendor.armed import Misbehaviour

_GZIP_TRAILER_BYTES = 8


def plain_csv() -> Misbehaviour:
    """Answer with the file as it is before compression."""
    return lambda honest: honest.with_body(gzip.decompress(honest.body), "text/csv") if honest.is_good else honest


def corrupt_gzip() -> Misbehaviour:
    """Answer with a file one bit of whose checksum is wrong: only who reads it to the end finds out."""
    return lambda honest: honest.with_body(_flipped(honest.body)) if honest.is_good else honest


def cut_gzip(n_bytes: int = _GZIP_TRAILER_BYTES) -> Misbehaviour:
    """Answer with a file that lacks its end, its length rightly told."""
    return lambda honest: honest.with_body(honest.body[:-n_bytes]) if honest.is_good else honest


def content_encoded() -> Misbehaviour:
    """Call the file's gzip an encoding of the transfer, which a client may take off unasked."""
    return lambda honest: honest.with_headers(Content_Encoding="gzip")


def _flipped(body: bytes) -> bytes:
    checksum = len(body) - _GZIP_TRAILER_BYTES
    return body[:checksum] + bytes([body[checksum] ^ 1]) + body[checksum + 1 :]
