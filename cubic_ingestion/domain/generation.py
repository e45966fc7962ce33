"""Generations: which full load of an ODS table, with the changes that follow it, its products show.

A generation is a snapshot of a table, by its id (``20220301T000000Z``). The rule: the newest complete generation is
shown, and one that is shown is only ever replaced by a newer one. The first is shown at once. A person may choose any;
after that, only generations that are newer than all that there were at that moment replace it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cubic_ingestion.domain.arrivals import missing_counters


@dataclass(frozen=True, slots=True)
class LoadFile:
    """The newest version of a LOAD file of a generation."""

    load_id: int
    key: str
    arrived_at: datetime
    """When it was registered."""
    counter: tuple[str, str] | None = None
    """Segment (empty if there is none) and counter, as they stand in its name."""
    is_open: bool = False
    """Whether something is still to be done before its rows are where they belong."""
    is_rejected: bool = False
    """Whether it is in Error, or on the way there."""
    has_rows: bool = False
    """Whether rows of it are in Springboard."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What is known of one generation."""

    id: str
    files: Sequence[LoadFile]
    has_changes: bool = False
    """Whether a change file of it has rows in Springboard."""

    @property
    def has_rows(self) -> bool:
        """Whether a LOAD file of it has rows in Springboard."""
        return any(file.has_rows for file in self.files)

    @property
    def rejected(self) -> LoadFile | None:
        """The first of its LOAD files that is in Error, or on the way there."""
        return min((file for file in self.files if file.is_rejected), key=lambda file: file.load_id, default=None)

    @property
    def lacks(self) -> str | None:
        """Say why it is not complete although it is shown: a LOAD file of it is in Error. None if none is."""
        rejected = self.rejected
        if not rejected:
            return None
        return f"'{rejected.key}' of snapshot {self.id} is in Error (load {rejected.load_id}), so its rows are missing."

    def settles_at(self, settle: timedelta) -> datetime | None:
        """Return when it is complete by time alone, if no other LOAD file arrives; None if it cannot be."""
        if self.rejected or not self.has_rows:
            return None
        return max(file.arrived_at for file in self.files) + settle

    def is_complete(self, now: datetime, settle: timedelta) -> bool:
        """Say whether it may replace an older generation."""
        settles_at = self.settles_at(settle)
        return settles_at is not None and (settles_at <= now or (self.has_changes and self._is_whole))

    @property
    def _is_whole(self) -> bool:
        if any(file.is_open for file in self.files):
            return False
        return not missing_counters([file.counter for file in self.files if file.counter])


@dataclass(frozen=True, slots=True)
class Shown:
    """What is on record of the generation that a product shows."""

    generation: str | None = None
    chosen_over: str | None = None
    """The newest generation there was when a person chose ``generation``; None if nobody did."""

    @property
    def newer_than(self) -> str:
        """Only generations with a later id may replace it; all may if none is shown."""
        return max(self.generation or "", self.chosen_over or "")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which generation to show."""

    generation: str | None
    """Id of the snapshot; None if no LOAD file of the table has a snapshot and rows."""
    settles_at: datetime | None
    """When a newer one becomes complete by time alone; None if none waits for that."""
    newest: str | None
    """The newest generation there is, whether or not it has rows."""


def choose_generation(generations: Sequence[Generation], shown: Shown, now: datetime, settle: timedelta) -> Choice:
    """Choose the generation to show.

    Args:
        generations: Those that may replace the one that is shown: with ids after ``shown.newer_than``, in any order.
        shown: What is shown now.
        now: The present moment.
        settle: How long no LOAD file of a generation must have arrived, so that it is complete by time alone.
    """
    ordered = sorted(generations, key=lambda each: each.id)
    complete = [each.id for each in ordered if each.is_complete(now, settle)]
    with_rows = [each.id for each in ordered if each.has_rows]
    if complete:
        generation = complete[-1]
    elif shown.generation is None and with_rows:
        generation = with_rows[0]
    else:
        generation = shown.generation
    newer = [each for each in ordered if each.id > (generation or "")]
    moments = [moment for each in newer if (moment := each.settles_at(settle))]
    newest = max([*(each.id for each in ordered), shown.newer_than])
    return Choice(generation, min(moments, default=None), newest or None)
