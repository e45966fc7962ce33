"""Not too many requests at once."""

import threading
import time


class Pace:
    """Spaces requests of all threads evenly.

    Args:
        per_second: How many; 0: no limit.
    """

    def __init__(self, per_second: float) -> None:
        self._seconds = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for one's turn."""
        if not self._seconds:
            return
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._seconds
        time.sleep(max(0.0, turn - time.monotonic()))
