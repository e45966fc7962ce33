"""A bucket that is nothing but its listing: ``ListObjectsV2`` over HTTP, for as many keys as it is asked to have.

Moto's server sorts all keys for each page and would take hours for a million. This one goes from page to page.
"""

import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

PAGE = 1_000
_ENTRY = (
    '<Contents><Key>{key}</Key><LastModified>2022-03-04T10:15:00.000Z</LastModified><ETag>"{number:032x}"</ETag>'
    "<Size>4711</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def keys(n_keys: int, n_tables: int) -> Sequence[str]:
    """Return keys in a listing's order, evenly spread over the folders of some DMAP tables."""
    return [f"{folder(n * n_tables // n_keys)}{n:09}.csv.gz" for n in range(n_keys)]


def folder(number: int) -> str:
    """Return the prefix of a table."""
    return f"cubic/dmap/bench_t{number:03}/"


class _Listing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    keys: ClassVar[Sequence[str]] = ()

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        start = int(asked.get("continuation-token", ["0"])[0])
        prefix = asked.get("prefix", [""])[0]
        page = range(start, min(start + PAGE, len(self.keys)))
        entries = "".join(
            _ENTRY.format(key=f"incoming/{self.keys[n]}", number=n)
            for n in page
            if f"incoming/{self.keys[n]}".startswith(prefix)
        )
        is_more = bool(entries) and page.stop < len(self.keys)
        token = f"<NextContinuationToken>{page.stop}</NextContinuationToken>" if is_more else ""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(is_more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main(arguments: Sequence[str]) -> None:
    """Serve until ended; prints the port."""
    _Listing.keys = keys(int(arguments[0]), int(arguments[1]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Listing)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
