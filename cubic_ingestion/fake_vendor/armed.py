"""Which requests are answered by which misbehaviour: a queue."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from cubic_ingestion.fake_vendor.answers import Answer

Misbehaviour = Callable[[Answer], Answer]
"""From the honest answer to another one."""


@dataclass
class _Armed:
    misbehaviour: Misbehaviour
    times: int | None
    after: int
    matching: str


class Armed:
    """Misbehaviours that wait for their requests, the first armed first; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[_Armed] = []

    def arm(self, misbehaviour: Misbehaviour, *, times: int | None = 1, after: int = 0, matching: str = "") -> None:
        """Let the next requests be answered so.

        Args:
            misbehaviour: What becomes of the honest answer; see ``misbehaviours``.
            times: For how many requests; None until disarmed.
            after: How many of these requests are answered honestly before.
            matching: Only requests whose path and query have this in them.
        """
        with self._lock:
            self._queue.append(_Armed(misbehaviour, times, after, matching))

    def disarm(self) -> None:
        """Be honest from now on."""
        with self._lock:
            self._queue.clear()

    def applied(self, target: str, honest: Answer) -> Answer:
        """Return what a request for a path and query is answered with."""
        misbehaviour = self._next(target)
        return misbehaviour(honest) if misbehaviour else honest

    def _next(self, target: str) -> Misbehaviour | None:
        with self._lock:
            armed = next((one for one in self._queue if one.matching in target), None)
            if armed is None:
                return None
            if armed.after:
                armed.after -= 1
                return None
            if armed.times is not None:
                armed.times -= 1
                if armed.times <= 0:
                    self._queue.remove(armed)
            return armed.misbehaviour
