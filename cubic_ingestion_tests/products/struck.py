"""A merge in which a call goes wrong, and what becomes of its products afterwards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.stage import calls_of, goes_wrong
from cubic_ingestion_tests.products.deliveries import is_complete, open_depot, shown, update

AT_WRITES = (Fault.ERROR, Fault.TIMEOUT, Fault.KILLED_AFTER)
"""A kill before a call leaves what one after the call before it does; one after a read leaves nothing."""
READS = (".open", ".head", ".list", "database.select")
Call = tuple[str, int]


@dataclass
class Strikes:
    """Scenes of a merge.

    Args:
        homes: Where their homes are. They stay where they are: the warehouse knows its files by their addresses.
        scenes: Each brings a depot to where a merge is due.
        tables: The tables whose products are merged.
        views: What is looked at afterwards.
    """

    homes: Path
    scenes: Mapping[str, Callable[[Depot], None]]
    tables: Sequence[str]
    views: Sequence[str]
    _files: dict[str, dict[Path, bytes]] = field(default_factory=dict[str, dict[Path, bytes]])
    _recorded: dict[str, tuple[Sequence[Call], Sequence[Call]]] = field(
        default_factory=dict[str, tuple[Sequence[Call], Sequence[Call]]]
    )
    _undisturbed: dict[str, object] = field(default_factory=dict[str, object])

    def fresh(self, scene: str) -> Depot:
        """Bring the home of a scene back to where a merge is due."""
        root = self.homes / scene
        if scene not in self._files:
            root.mkdir()
            depot = open_depot(root)
            self.scenes[scene](depot)
            depot.settle()
            # SQLite makes a "-shm" anew, and removes it whenever a connection is closed.
            files = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
            self._files[scene] = {path: path.read_bytes() for path in files}
        files = self._files[scene]
        for path in [each for each in root.rglob("*") if each.is_file()]:
            # A file that stays as it is keeps its ETag. The databases in the root may be open, and are made anew.
            if path.parent == root or files.get(path) != path.read_bytes():
                path.unlink(missing_ok=True)
        for path, data in files.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        return open_depot(root)

    def merge(self, depot: Depot) -> None:
        """Merge what is due."""
        update_products(depot.platform, self.tables, run_id="struck")

    def recorded(self, scene: str) -> tuple[Sequence[Call], Sequence[Call]]:
        """Name the calls of an undisturbed merge that write, and those that read."""
        if scene not in self._recorded:
            calls = calls_of(self.fresh(scene), self.merge)
            each = [(call, number) for call, n_calls in calls.items() for number in range(1, n_calls + 1)]
            reads = [one for one in each if any(read in one[0] for read in READS)]
            self._recorded[scene] = [one for one in each if one not in reads], reads
        return self._recorded[scene]

    def strike(self, scene: str, fault: Fault, at: Call) -> None:
        """Let a call of a merge go wrong, merge again, and compare."""
        call, which = at
        if scene not in self._undisturbed:
            depot = self.fresh(scene)
            self.merge(depot)
            self._undisturbed[scene] = self._held(depot)
        depot = self.fresh(scene)
        goes_wrong(depot, FaultPlan(call, fault, (which,)), self.merge)

        healed = open_depot(depot.root)
        healed.clock.advance(hours=2)
        update(healed)

        assert self._held(healed) == self._undisturbed[scene], call
        assert is_complete(healed), call

    def _held(self, depot: Depot) -> object:
        """Return what people find, and what is on record, when all is done."""
        update(depot)
        states = [(each.name, each.n_loads, each.n_rows) for each in depot.platform.ledger.products.states()]
        return [shown(depot, view, "*") for view in self.views], states
