"""Signed links to files, each good for one version of one data set until it expires."""

import base64
import secrets
import threading
from urllib.parse import quote

from cubic_ingestion.fake_vendor.data_sets import DataSet

FILES = "/files/"
"""Where files are; the list's feeds are elsewhere."""


class Links:
    """The links given out. A link of an older version leads to that version, whatever was published since."""

    def __init__(self, uses: int | None) -> None:
        self._lock = threading.Lock()
        self._uses = uses
        self._live: dict[str, tuple[DataSet, int | None]] = {}

    def issue(self, data_set: DataSet) -> str:
        """Return a fresh link, as path and query.

        The signature has characters that stand percent-encoded in it, as the real ones do: a client that encodes or
        decodes a link once more breaks it.
        """
        name = f"{quote(data_set.data_set_type, safe='')}/{quote(data_set.dataset_id, safe='')}.csv.gz"
        signature = quote(base64.b64encode(b"\xfb\xff" + secrets.token_bytes(14)), safe="")
        link = f"{FILES}{name}?sv=2021-08-06&sp=r&sig={signature}"
        with self._lock:
            self._live[link] = (data_set, self._uses)
        return link

    def redeem(self, link: str) -> DataSet | None:
        """Return the version that a link is for, which uses it once; none if it expired or was never given out."""
        with self._lock:
            data_set, uses = self._live.get(link, (None, 0))
            if data_set is None or uses == 0:
                return None
            self._live[link] = (data_set, None if uses is None else uses - 1)
            return data_set

    def expire(self) -> None:
        """Let all links given out so far expire."""
        with self._lock:
            self._live.clear()
