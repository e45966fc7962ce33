"""What a scan of Incoming saw: how many objects, and which of them no table takes."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from cubic_ingestion.domain.counted import counted
from cubic_ingestion.outside_text import visible_name

MAX_FOLDERS = 100
"""Folders with unknown objects that a scan names; the objects of all others are only counted."""
MAX_NAMES = 5
"""Unknown objects that are named in each folder."""
_ELSEWHERE = "elsewhere"


UNLISTED = "it cannot be listed"
"""Begins the reason of a folder that was not listed, so that files below it may wait unseen."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An object in Incoming that no table takes."""

    key: str
    why: str
    """The reason, to be read after "left alone, "."""


@dataclass(frozen=True, slots=True)
class UnknownGroup:
    """The unknown objects of one folder that have the same reason."""

    folder: str
    """Ends with ``/``; empty for the top level of Incoming."""
    why: str
    n_objects: int
    names: tuple[str, ...]
    """File names of the first of them."""

    def __str__(self) -> str:
        """Name the objects, or the first of them."""
        keys = [visible_name(f"{self.folder}{name}") for name in self.names]
        named = f": {', '.join(keys)}" if keys else ""
        more = ", …" if keys and self.n_objects > len(keys) else ""
        n_objects = counted(self.n_objects, "object")
        return f"{self.folder or 'top level'}: {n_objects} left alone, {self.why}{named}{more}"


class UnknownGroups:
    """Groups unknown objects by folder and reason; its size is bounded, whatever is added.

    Args:
        groups: What was grouped before.
        max_folders: Groups that are kept; from then on objects are counted without their folder.
    """

    def __init__(self, groups: Iterable[UnknownGroup] = (), max_folders: int = MAX_FOLDERS) -> None:
        self._groups = {(group.folder, group.why): group for group in groups}
        self._max_folders = max_folders

    def add(self, unknown: Unknown) -> None:
        """Add one object."""
        head, slash, _ = unknown.key.removesuffix("/").rpartition("/")
        self.count(head + slash, unknown.why, unknown.key.removeprefix(head + slash))

    def count(self, folder: str, why: str, name: str = "") -> None:
        """Add one object by its folder; without a name it is only counted."""
        if (folder, why) not in self._groups and len(self._groups) >= self._max_folders:
            folder, name = _ELSEWHERE, ""
        group = self._groups.get((folder, why), UnknownGroup(folder, why, 0, ()))
        names = (*group.names, name) if name and len(group.names) < MAX_NAMES else group.names
        self._groups[folder, why] = replace(group, n_objects=group.n_objects + 1, names=names)

    def sorted(self) -> list[UnknownGroup]:
        """Return the groups by folder."""
        return [self._groups[key] for key in sorted(self._groups)]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a listing saw."""

    n_objects: int = 0
    n_unsettled: int = 0
    """Objects that may still be written to."""
    n_unknown: int = 0
    """Objects that no table takes."""
    unknown: tuple[UnknownGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """The listings of one prefix of Incoming, as they are on record."""

    prefix: str
    started_at: datetime
    """When the newest listing began."""
    active_at: datetime
    """When a listing last went on, whether or not it reached the end of the prefix."""
    listed_at: datetime | None = None
    """When a listing last reached the end of the prefix; None if none did."""
    seen: Seen = field(default_factory=Seen)
    """What that listing saw."""
    resume_after: str = ""
    """Key after which the newest listing goes on, if the time was up before it reached the end; else empty."""
    so_far: Seen = field(default_factory=Seen)
    """What the newest listing has seen up to there."""
    problem: str | None = None
    """Why the newest listing failed; None if it did not."""
