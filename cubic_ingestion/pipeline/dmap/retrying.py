"""When a request is made again, and after how long: a server that says when is believed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina

from cubic_ingestion.errors import FeedUnavailableError

Outcome = TypeVar("Outcome")

MOST_SECONDS = 120.0
"""A server that asks to be left alone for longer is left alone until the next fetch."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is made, and how long the first pause is; each further one is twice as long."""

    attempts: int
    first_pause_seconds: float


def patiently(work: Callable[[], Outcome], patience: Patience) -> Outcome:
    """Do something that asks the vendor's API; again, if that may help.

    Raises:
        FeedUnavailableError: It did not help.
    """
    outcome: list[Outcome] = []
    for attempt in stamina.retry_context(
        on=_pause,
        attempts=patience.attempts,
        timeout=None,
        wait_initial=patience.first_pause_seconds,
        wait_max=MOST_SECONDS,
        wait_jitter=patience.first_pause_seconds,
    ):
        with attempt:
            outcome = [work()]
    return outcome[0]


def _pause(error: Exception) -> bool | float:
    if not isinstance(error, FeedUnavailableError) or error.is_refused:
        return False
    asked_for = error.retry_after_seconds
    return True if asked_for is None else asked_for <= MOST_SECONDS and max(asked_for, 0.001)
