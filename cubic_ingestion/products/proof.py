"""The proof of ``__current``: each is folded again by other means, and all rows are compared.

What is folded is what the record of a merge says is folded, and what it is compared with are the files of that merge,
so that merges may go on meanwhile. DuckDB sorts rows and changes by key, on disk. Memory is bounded by the keys that
moves link, which are folded together, and some hundred bytes per load of the generation.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import pyarrow as pa

from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.product import Product, ProductKind, products_of
from cubic_ingestion.errors import CatalogUnavailableError, SettingsError, StoreUnavailableError
from cubic_ingestion.outside_text import visible
from cubic_ingestion.pipeline.audit import Finding, FindingCode, Tell
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import ObjectMissingError, keep_nothing
from cubic_ingestion.products.errors import LoadChangedError, LogMovedOnError
from cubic_ingestion.products.folded_state import FoldedState, MovedOnError, folded_state
from cubic_ingestion.products.law import COUNTER
from cubic_ingestion.products.plain_law import Key, Origin, PlainLaw, Row, order_of, origin_of, plain_rows
from cubic_ingestion.products.workspace import Workspace, open_workspace

LOOKS = 3
_LOADS, _CHANGES, _CURRENT = "load_rows", "changes", "current_rows"
_TOTAL_ORDER = ("header__change_seq", "source_at", "identifier", "row_number")
_UNREADABLE = (
    *(pa.ArrowException, OSError, ObjectMissingError),
    *(CatalogUnavailableError, SettingsError, StoreUnavailableError),
)
_WITH_BEFORE = f"SELECT header__change_seq FROM {_CHANGES} WHERE header__change_oper = 'B'"  # noqa: S608 - all constant
_MAY_MOVE = f"header__change_oper IN ('B', 'U') AND header__change_seq IN ({_WITH_BEFORE})"


@dataclass(slots=True)
class FoldCheck:
    """The comparison, as a part of the audit."""

    platform: Platform
    n_rows: int = 0
    """Rows that are as they should be."""

    zone = "warehouse"

    def check(self, tell: Tell) -> Iterator[Finding]:
        """Yield what is wrong, one finding per product."""
        for product in products_of(self.platform.tables.values()).values():
            if product.kind is ProductKind.CURRENT and (finding := self.look(product, tell)):
                yield finding

    def look(self, product: Product, tell: Tell) -> Finding | None:
        """Compare a product; what looks wrong is looked at again if there was a merge meanwhile."""
        code, problem = FindingCode.FOLD_NOT_COMPARED, ""
        for _ in range(LOOKS):
            try:
                state = folded_state(self.platform, product)
                if state is None:
                    return None
                with open_workspace() as workspace:
                    found = Comparison(state, workspace, tell)
                    found.compare()
            except (MovedOnError, LoadChangedError, LogMovedOnError) as error:
                code, problem = FindingCode.FOLD_NOT_COMPARED, str(error)
                continue
            except _UNREADABLE as error:
                problem = f"It cannot be read: {visible(str(error))}"
                return Finding.of(FindingCode.FOLD_NOT_COMPARED, self.zone, product.name, problem)
            if not found.n_differing:
                self.n_rows += found.n_equal
                return None
            code, problem = FindingCode.FOLD_MISMATCH, found.problem
            if self.platform.ledger.products.last_merge(product.source.name) == state.merge:
                break
        return Finding.of(code, self.zone, product.name, problem)


@dataclass(slots=True)
class Comparison:
    """Compares the rows of one product with what its law makes of all it has folded."""

    state: FoldedState
    workspace: Workspace
    tell: Tell
    n_equal: int = 0
    n_differing: int = 0
    _first: tuple[Key, str] | None = None
    _befores: dict[Origin, Row] = field(default_factory=dict[Origin, Row])
    _linked: set[Key] = field(default_factory=set[Key])

    def compare(self) -> None:
        """Fold, and compare key by key.

        Raises:
            LoadChangedError: A LOAD file is another one by now.
        """
        state = self.state
        self.workspace.store(_LOADS, state.load_schema, state.load_rows(keep_nothing))
        self.workspace.store(_CHANGES, state.shape.events, state.changes(keep_nothing))
        self.workspace.store(_CURRENT, state.shape.shown, state.current_rows(keep_nothing))
        for before, update in state.law.moves(self._sorted(_CHANGES, _TOTAL_ORDER[:1], _TOTAL_ORDER[1:], _MAY_MOVE)):
            self._befores[origin_of(update)] = before
            self._linked |= {state.law.key_of(before), state.law.key_of(update)}
        kinds = (
            (_LOADS, ("source_at", COUNTER, "row_number")),
            (_CHANGES, _TOTAL_ORDER),
            (_CURRENT, ()),
        )
        streams = [self._keyed(name, by) for name, by in kinds]
        linked = _Rows()
        for key_here, group in groupby(heapq.merge(*streams, key=lambda each: order_of(each[0])), lambda each: each[0]):
            rows = linked if key_here in self._linked else _Rows()
            for _, name, row in group:
                rows.take(name, key_here, row, state.law)
            if rows is not linked:
                self._compare(rows)
        linked.changes.sort(key=lambda change: tuple(change[name] for name in _TOTAL_ORDER))
        self._compare(linked)

    @property
    def problem(self) -> str:
        """Say what differs."""
        key, how = self._first or ((), "")
        named = ", ".join(f"{name} = {value!r}" for name, value in zip(self.state.law.key, key, strict=False))
        rows = counted(self.n_differing, "row is not", "rows are not")
        return f"Folded again by other means, {rows} the same. The first has the key {visible(named)}: {how}."

    def _sorted(self, name: str, key: Sequence[str], by: Sequence[str], where: str = "true") -> Iterator[Row]:
        for rows in self.workspace.sorted_rows(name, key, by, where):
            yield from plain_rows(rows)

    def _keyed(self, name: str, by: Sequence[str]) -> Iterator[tuple[Key, str, Row]]:
        for row in self._sorted(name, self.state.law.key, by):
            yield self.state.law.key_of(row), name, row

    def _compare(self, rows: "_Rows") -> None:
        law, snapshot = self.state.law, {"snapshot": self.state.shape.generation}
        law.fold(rows.folded, rows.changes, self._befores)
        for key in rows.folded.keys() | rows.current.keys():
            ours, theirs = rows.folded.get(key), rows.current.get(key, [])
            if ours is not None and theirs == [ours | snapshot]:
                self.n_equal += 1
            elif ours is not None or theirs:
                self._differ(key, _how(ours and ours | snapshot, theirs))
        self.tell("rows folded again", len(rows.current))

    def _differ(self, key: Key, how: str) -> None:
        self.n_differing += 1
        if self._first is None or order_of(key) < order_of(self._first[0]):
            self._first = key, how


@dataclass(slots=True)
class _Rows:
    """All that is known of some keys."""

    folded: dict[Key, Row] = field(default_factory=dict[Key, Row])
    changes: list[Row] = field(default_factory=list[Row])
    current: dict[Key, list[Row]] = field(default_factory=dict[Key, list[Row]])

    def take(self, name: str, key: Key, row: Row, law: PlainLaw) -> None:
        if name == _LOADS:  # the last one of a key counts
            self.folded[key] = law.image(row | {"header__change_seq": None, "header__timestamp": None})
        elif name == _CHANGES:
            self.changes.append(row)
        else:
            self.current.setdefault(key, []).append(row)


def _how(ours: Row | None, theirs: list[Row]) -> str:
    """Say how what should be differs from what there is."""
    if ours is None:
        return "there should be no row"
    if not theirs:
        return "its row is missing"
    if len(theirs) > 1:
        return f"there are {counted(len(theirs), 'row')}"
    names = [name for name, value in ours.items() if theirs[0][name] != value]
    return f"another value of {', '.join(map(repr, names))}"
