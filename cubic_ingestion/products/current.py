"""``__current``: what is true now of a table, one row per key, brought up to date by one commit after the other.

Its merge exchanges loads, as that of ``__changes`` does: the LOAD files of one generation, and the change files that
``__changes`` holds of it. Changes above all that were folded before are folded into the rows as they are. Any other
change is late: its key is folded again from all its changes. Whatever takes something back, or is too much to fold in
memory, has the generation built anew.
"""

import json
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.domain.product import MERGE, Product, ProductKind
from cubic_ingestion.domain.snapshot import snapshot_id
from cubic_ingestion.ledger.records import HeldLoad, Intent, StandingLoad
from cubic_ingestion.parsing.stored_types import NANOSECONDS, stored_schema
from cubic_ingestion.ports import UnpromotableError, WarehouseTable
from cubic_ingestion.products.arrays import is_one_of
from cubic_ingestion.products.build import Build
from cubic_ingestion.products.change_log import ChangeLog
from cubic_ingestion.products.current_rows import Shape, partial_files, shape_of
from cubic_ingestion.products.errors import NoKeyError
from cubic_ingestion.products.exchange import with_etags
from cubic_ingestion.products.fold import in_key_order, moved_keys, net_changes
from cubic_ingestion.products.full_load import FullLoad
from cubic_ingestion.products.generation_facts import GenerationFacts, facts_of
from cubic_ingestion.products.generations import choose
from cubic_ingestion.products.key_files import KeyFiles, KeyFileWriter
from cubic_ingestion.products.law import Event, refused_loads
from cubic_ingestion.products.merge import NanosecondsError
from cubic_ingestion.products.refold import FoldedLoads, Refold
from cubic_ingestion.products.rows import Addition
from cubic_ingestion.products.scan import TooMuchError, gathered
from cubic_ingestion.products.source import rows_of_all
from cubic_ingestion.products.steps import GENERATION, REPLACES, Merged, MergeSteps
from cubic_ingestion.products.workspace import open_workspace

KEY, UPDATES, DUPLICATE_KEYS, ORPHANS = "cubic.key", "cubic.updates", "cubic.duplicate_keys", "cubic.orphans"
"""Properties of a snapshot: the key columns as JSON, what NULL in an update means, how many keys occur more than once
in the LOAD files, and how many updates of the merge had no row."""
HIGHEST, HAS_BEFORE_IMAGES = "cubic.highest", "cubic.has_before_images"
"""Properties of a snapshot: the highest sequence that is folded, and whether any change is a before-image."""
SLICE_CELLS = 8_000_000
"""Rows times columns of the changes that one commit folds in memory."""
MOST_LATE_ROWS = 200_000
"""Late changes and LOAD rows that are folded in memory; more are cheaper to fold with everything."""


@dataclass(frozen=True, slots=True)
class _Additions:
    """Loads to put in."""

    full_load: Sequence[Addition] = ()
    changes: Sequence[Addition] = ()
    """In the order of their files' time."""

    @property
    def intents(self) -> list[Intent]:
        return [
            Intent(each.load.load_id, each.etag, each.load.n_rows, each.place)
            for each in (*self.full_load, *self.changes)
        ]


@dataclass(frozen=True, slots=True)
class _Target:
    """What the product is to show."""

    shape: Shape
    snapshot_at: datetime | None
    """The snapshot's time, if the ``.dfm`` states it."""
    shown: str | None
    """The snapshot that it shows until now, by the ledger."""


class _RebuildError(Exception):
    """What has come cannot be folded into the rows as they are."""


class CurrentMerge(MergeSteps):
    """Brings ``__current`` of one table up to date."""

    __slots__ = ()

    def apply(self, load_ids: Collection[int]) -> Merged:
        """Make the product hold, of some loads, those of its generation.

        Raises:
            LeaseLostError: Somebody else holds the product by now. Nothing was committed since.
            LoadChangedError: A load's file was replaced meanwhile; its change is on its way.
            LogMovedOnError: ``__changes`` cannot be read as a whole.
            NoKeyError: It has rows, and no key is known any more.
            OutOfStepError: The ledger and the warehouse do not belong together.
        """
        return self._run(load_ids, is_rebuild=False)

    def rebuild(self) -> Merged:
        """Fold the generation anew, beside what the product is; one commit replaces it.

        Raises:
            LeaseLostError: As ``apply`` raises it.
            LoadChangedError: As ``apply`` raises it.
        """
        return self._run((), is_rebuild=True)

    def _run(self, load_ids: Collection[int], *, is_rebuild: bool) -> Merged:
        started, source = monotonic(), self.product.source
        table, merged = self.settled(), Merged(self.product.name, source.name)
        shown = self.platform.ledger.generations.shown(source.name).generation
        choice = choose(self.platform, source)
        # If none of its loads stands any more, it is what it was, without rows.
        generation = choice.generation or shown
        facts = self._facts(generation, table) if generation else None
        if generation is None or facts is None or not facts.key:
            if table is not None and table.snapshot is not None:
                raise NoKeyError(self.product.name, source.name, facts.problem if facts else None)
            return merged
        target = _Target(self._shape(generation, facts), facts.snapshot_at, shown)
        is_build = is_rebuild or self.is_unknown(table)
        if not is_build:
            self.require_step(table)
            is_build = table is None or not self._is_of(table, target.shape)
        if table is not None and not is_build:
            try:
                self._fold_all(table, target, load_ids, merged, started)
            except (_RebuildError, TooMuchError, UnpromotableError):
                is_build = True
        if is_build:
            merged = Merged(self.product.name, source.name)
            built = self._built(self.settled(), target, merged)
            merged.seconds = monotonic() - started
            self.end(built, merged, target.shape.shown, seconds=None)
        self.platform.ledger.products.set_settles_at(self.claimant, source.name, choice.settles_at)
        return merged

    def _facts(self, generation: str, table: WarehouseTable | None) -> GenerationFacts:
        source = self.product.source
        facts = facts_of(self.platform, source, generation)
        if table is None or table.snapshot is None or facts.base or facts.changes:
            return facts
        key = tuple(json.loads(table.snapshot.properties[KEY]))
        return replace(facts, key=key, base=self.platform.ledger.schemas.known(source.name), problem=None)

    def _shape(self, generation: str, facts: GenerationFacts) -> Shape:
        schemas, source = self.platform.ledger.schemas, self.product.source
        all_files = [*schemas.known(source.name), *schemas.known(self._log_product.source.name)]
        return shape_of(source, generation, facts.key, [*facts.base, *facts.changes], all_files)

    @property
    def _log_product(self) -> Product:
        source = self.product.source
        changes = next(table for table in self.platform.tables.values() if table.base == source.name)
        return Product(ProductKind.CHANGES, changes)

    def _is_of(self, table: WarehouseTable, shape: Shape) -> bool:
        """Say whether a table shows a generation by the same key, in the same types, and by the same law."""
        properties, schema, key = _properties(table), stored_schema(shape.rows), shape.law.key
        return (
            properties.get(GENERATION) == shape.generation
            and properties.get(KEY) == json.dumps(key)
            and properties.get(UPDATES) == self.product.source.updates.value
            and all(name in table.schema.names for name in key)
            and all(table.schema.field(name).type == schema.field(name).type for name in key)
        )

    def _fold_all(
        self,
        table: WarehouseTable,
        target: _Target,
        load_ids: Collection[int],
        merged: Merged,
        started: float,
    ) -> None:
        """Fold what was delivered into the rows as they are, a slice at a time.

        Raises:
            _RebuildError: It takes a build.
            TooMuchError: As well.
            UnpromotableError: As well.
        """
        shape = target.shape
        log = ChangeLog.at_present(self.platform, self._log_product, shape.generation, list(load_ids))
        additions = self._additions(shape, log, load_ids)
        if sum(each.load.n_rows for each in additions.full_load) > MOST_LATE_ROWS:
            raise _RebuildError
        if not additions.intents:
            # The table may not have a column yet whose first file is on its way.
            shown = pa.schema([field for field in shape.shown if field.name in table.schema.names])
            self.end(table, merged, shown, seconds=None)
            return
        waiting = deque(_slices(additions.changes, len(shape.rows)))
        full_load = additions.full_load
        while waiting:
            changes = waiting.popleft()
            try:
                events = gathered(shape.events, rows_of_all(self.platform, changes, shape.events))
            except TooMuchError:
                if len(changes) == 1:
                    raise
                waiting.extendleft([changes[len(changes) // 2 :], changes[: len(changes) // 2]])
                continue
            new, full_load = _Additions(full_load, changes), ()
            table = self._folded(table, target, log, new, events, merged)
            merged.seconds = monotonic() - started
            self.end(table, merged, shape.shown, seconds=None if merged.is_refold else merged.seconds)

    def _additions(self, shape: Shape, log: ChangeLog, load_ids: Collection[int]) -> _Additions:
        """Find what was delivered and is not in the product.

        Raises:
            _RebuildError: Something is to be taken out.
        """
        source, products = self.product.source.name, self.platform.ledger.products
        held, base = products.held(source, load_ids), self._standing(shape, load_ids)
        changes = products.standing(self._log_product.source.name, list(log.loads))
        if any(load_id not in base and load_id not in log.loads for load_id in held):
            raise _RebuildError
        place = (shape.generation,)
        with_etag = [Addition(load, etag, place) for load, etag in with_etags(self.platform, list(base.values()))]
        with_etag += [Addition(load, log.loads[load_id].etag, place) for load_id, load in changes.items()]
        if any(_is_other(each, held.get(each.load.load_id)) for each in with_etag):
            raise _RebuildError
        new = [each for each in with_etag if each.load.load_id not in held]
        new.sort(key=lambda each: (each.load.source_at, each.load.identifier))
        return _Additions(
            [each for each in new if each.load.load_id in base], [each for each in new if each.load.load_id in changes]
        )

    def _standing(self, shape: Shape, load_ids: Collection[int]) -> Mapping[int, StandingLoad]:
        standing = self.platform.ledger.products.standing(self.product.source.name, load_ids)
        return {
            load_id: load
            for load_id, load in standing.items()
            if load.snapshot and snapshot_id(load.snapshot) == shape.generation
        }

    def _folded(
        self,
        table: WarehouseTable,
        target: _Target,
        log: ChangeLog,
        new: _Additions,
        events: pa.Table,
        merged: Merged,
    ) -> WarehouseTable:
        """Fold some loads into the rows as they are, in one commit."""
        shape = target.shape
        refused = refused_loads(events)
        merge = self.intend([_refusing(intent, refused) for intent in new.intents], table)
        products, source = self.platform.ledger.products, self.product.source.name
        folded = FoldedLoads(products, source, [each.load_id for each in new.intents], refused, target.snapshot_at)
        full_load = self._full_load(shape, new.full_load)
        events = folded.filter(events)
        before = _properties(table)
        load_ids = frozenset(each.load.load_id for each in new.full_load)
        load_rows = full_load.no_rows(shape.load_rows)
        load_rows = gathered(load_rows.schema, full_load.rows(shape.load_rows, self.keep, load_ids))
        late = events.filter(pc.less_equal(events[Event.SEQUENCE], pa.scalar(before[HIGHEST])))
        merged.is_refold |= bool(late.num_rows or load_ids)
        if late.num_rows > MOST_LATE_ROWS:
            raise _RebuildError
        has_before_images = before[HAS_BEFORE_IMAGES] == "true" or _has(events, "B")
        refold = Refold(shape, log, full_load, folded, self.keep)
        keys = refold.keys(late, load_rows, has_before_images=has_before_images)
        law, fresh = folded.law(shape.law, events), keys.filter(events, invert=True)
        files = KeyFiles.of(self.platform.warehouse, shape, table)
        net = net_changes(law, fresh, files.rows_of(moved_keys(law, fresh)))
        refolded, duplicates = refold.net(keys)
        if load_ids and duplicates.num_rows:  # a build counts them all
            raise _RebuildError
        net = in_key_order(law, refolded, net)
        properties = {
            **before,
            REPLACES: shape.generation,
            MERGE: str(merge),
            HIGHEST: max([before[HIGHEST], pc.max(events[Event.SEQUENCE]).as_py() or ""]),
            HAS_BEFORE_IMAGES: "true" if has_before_images else "false",
        }
        merged.n_loads += len(new.intents)
        merged.n_rows += events.num_rows + load_rows.num_rows
        return self._committed(table, shape, files, net, properties, merged)

    def _committed(
        self,
        table: WarehouseTable,
        shape: Shape,
        files: KeyFiles,
        net: pa.Table,
        properties: Mapping[str, str],
        merged: Merged,
    ) -> WarehouseTable:
        fine = {field.name for field in shape.shown if field.name + NANOSECONDS in table.schema.names}
        while True:
            stored = stored_schema(shape.shown, fine)
            writer = KeyFileWriter(table, shape, stored, fine, self.keep)
            with suppress(NanosecondsError):
                replaced, n_orphans = files.rewrite(net, writer)
                break
        self.require_lease()
        properties = {**properties, ORPHANS: str(n_orphans)}
        table = table.commit(add=writer.files, remove=replaced, properties=properties, schema=stored)
        merged.n_orphans += n_orphans
        merged.count(replaced)
        return table

    def _full_load(self, shape: Shape, new: Sequence[Addition]) -> FullLoad:
        """Return the LOAD files that the product holds, and those that are new."""
        products, source = self.platform.ledger.products, self.product.source.name
        ids = products.standing_ids(source)
        held = products.held(source, ids)
        standing = self._standing(shape, list(held))
        known = [Addition(load, held[load_id].etag, held[load_id].place) for load_id, load in standing.items()]
        return FullLoad.of(self.platform, [*known, *new])

    def _built(self, table: WarehouseTable | None, target: _Target, merged: Merged) -> WarehouseTable:
        """Fold the generation anew, and replace all rows in one commit."""
        shape = target.shape
        products, source = self.platform.ledger.products, self.product.source.name
        standing = self._standing(shape, products.standing_ids(source))
        place = (shape.generation,)
        load_files = [Addition(load, etag, place) for load, etag in with_etags(self.platform, list(standing.values()))]
        log = ChangeLog.at_present(self.platform, self._log_product, shape.generation)
        shape = _knowing_files(shape, products.columns(list(log.loads)))
        with open_workspace(self.keep) as workspace:
            build = Build(workspace, shape, target.snapshot_at)
            build.read(FullLoad.of(self.platform, load_files), log, self.keep)
            intents = _Additions(load_files).intents
            intents += [Intent(each.load_id, each.etag, each.n_rows, place) for each in log.loads.values()]
            kept = {intent.load_id for intent in intents}
            gone = [each for each in products.held(source).values() if each.load_id not in kept]
            intents += [Intent(each.load_id, None, 0, each.place) for each in gone]
            merge = self.intend([_refusing(intent, build.refused) for intent in intents], table)
            stored = stored_schema(shape.shown, workspace.fine)
            if table is None:
                table = self.platform.warehouse.create(self.product.name, stored)
            writer = KeyFileWriter(table, shape, stored, workspace.fine, self.keep, replaces_schema=True)
            writer.write(build.rows())
            properties = {
                MERGE: str(merge),
                GENERATION: shape.generation,
                REPLACES: target.shown or "",
                KEY: json.dumps(shape.law.key),
                UPDATES: self.product.source.updates.value,
                DUPLICATE_KEYS: str(build.n_duplicate_keys),
                ORPHANS: str(build.n_orphans),
                HIGHEST: build.highest,
                HAS_BEFORE_IMAGES: "true" if build.has_before_images else "false",
            }
        replaced = table.files()
        self.require_lease()
        table = table.commit(add=writer.files, remove=replaced, properties=properties, replace_schema=stored)
        merged.n_loads, merged.n_rows, merged.n_orphans = len(intents), build.n_rows, build.n_orphans
        merged.count(replaced)
        return table


def _properties(table: WarehouseTable) -> Mapping[str, str]:
    return table.snapshot.properties if table.snapshot else {}


def _is_other(addition: Addition, held: HeldLoad | None) -> bool:
    return held is not None and held.etag != addition.etag


def _refusing(intent: Intent, refused: Mapping[int, str]) -> Intent:
    return replace(intent, refused=refused.get(intent.load_id))


def _slices(changes: Sequence[Addition], n_columns: int) -> Iterator[Sequence[Addition]]:
    """Cut loads so that the changes of each part fit into memory; a load is never cut. At least one part."""
    part: list[Addition] = []
    n_rows, most = 0, SLICE_CELLS // n_columns
    for each in changes:
        if part and n_rows + each.load.n_rows > most:
            yield part
            part, n_rows = [], 0
        part.append(each)
        n_rows += each.load.n_rows
    yield part


def _knowing_files(shape: Shape, columns: Mapping[int, Any]) -> Shape:
    return replace(shape, law=replace(shape.law, file_columns=partial_files(shape.law, columns)))


def _has(events: pa.Table, operation: str) -> bool:
    return bool(is_one_of(events[Event.OPERATION], operation).any())
