"""Names and values that mean harm, or are not UTF-8, in everything that Dagster keeps: shown, and acting on nobody."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._serdes import serialize_value
from markdown_it import MarkdownIt

from cubic_ingestion.bootstrap import SharedPlatform
from cubic_ingestion.defs import build_definitions, sensors
from cubic_ingestion.defs.headless import ingest_incoming
from cubic_ingestion.outside_text import ACTING
from cubic_ingestion.storage import local_object_store
from cubic_ingestion_tests.defs.conftest import KAFKA_TABLE
from cubic_ingestion_tests.defs.runs import QUIET
from cubic_ingestion_tests.defs.test_sensors import Ticker
from cubic_ingestion_tests.homes import AT_THREE
from cubic_ingestion_tests.hostile_files import plant_hostile_files

HOST = "planted.example"
FRAME = {f"{kind}_{end}" for kind in ("bullet_list", "list_item", "paragraph") for end in ("open", "close")}
INERT = FRAME | {"inline", "text", "softbreak"}


@pytest.fixture
def hostile(home: Path, shared: SharedPlatform, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    """Definitions on a home whose files mean harm."""
    monkeypatch.setenv("CUBIC_TABLES_DIR", str(plant_hostile_files(home, HOST)))
    return build_definitions(shared.get().tables, shared.get, AT_THREE)


def parts(value: object) -> Iterator[dict[str, Any] | str]:
    """Yield every mapping and text within a value, names of fields too."""
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        yield mapping
        for name, inner in mapping.items():
            yield name
            yield from parts(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from parts(inner)
    elif isinstance(value, str):
        yield value


def live(markdown: str) -> list[str]:
    """Find what is more than a list of texts, and texts that lead somewhere outside a code span."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    every = [token for block in tokens for token in (block, *(block.children or ()))]
    kinds = [token.type for token in every if token.type not in INERT | {"code_inline"}]
    return kinds + [token.content for token in every if token.type == "text" and HOST in token.content]


def test_nothing_that_dagster_keeps_acts_on_the_people_who_read_it(
    hostile: dg.Definitions, shared: SharedPlatform, instance: dg.DagsterInstance
) -> None:
    ingest_incoming(hostile, instance, shared.get())
    hostile.resolve_job_def("audit_zones").execute_in_process(run_config=QUIET, instance=instance)

    runs = instance.get_runs()
    events = [
        event for run_id in [RUNLESS_RUN_ID, *(run.run_id for run in runs)] for event in instance.all_logs(run_id)
    ]
    kept = [*parts(json.loads(serialize_value(runs))), *parts([json.loads(serialize_value(each)) for each in events])]

    texts = [part for part in kept if isinstance(part, str)]
    assert [text for text in texts if ACTING.search(text.replace("\n", ""))] == []
    markdown = [
        part["md_str"]
        for part in kept
        if isinstance(part, dict) and part.get("__class__") == "MarkdownMetadataEntryData"
    ]
    assert {text: found for text in markdown if (found := live(text))} == {}
    for shown in (r"st\x1b[2Jray\xe9.csv", f"![x](http[:]//{HOST}/field.png)"):
        assert any(shown in text for text in markdown), shown
    for shown in (r"20220304\x1b[2J.csv", f"![x](http[:]//{HOST}/bad.png)", f"![x](http[:]//{HOST}/value.png)"):
        assert any(shown in text for text in texts), shown
    assert [text for text in texts if f"http://{HOST}" in text] == []


def test_a_sensor_logs_names_and_goes_on_after_one_that_is_not_utf_8(
    hostile: dg.Definitions,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(local_object_store, "PAGE_SIZE", 1)
    monkeypatch.setattr(sensors, "TICK_SECONDS", -1)
    ticker = Ticker(hostile, instance, "dmap_incoming")
    cursors: list[str] = []
    while ticker.cursor != "":
        ticker.tick()
        assert ticker.cursor not in cursors
        cursors.append(ticker.cursor or "")

    assert len(cursors) > 10
    assert all(cursor.isascii() for cursor in cursors)
    assert any("\\udc" in cursor for cursor in cursors)
    log = capsys.readouterr().err
    assert ACTING.search(log.replace("\n", "")) is None
    assert r"cubic/dmap/un\x1b[31mdeclared/" in log


def test_the_catalogue_page_of_a_declared_table_has_its_prefix_as_text(hostile: dg.Definitions) -> None:
    nodes = hostile.resolve_asset_graph().asset_nodes
    (node,) = [node for node in nodes if node.key.path[-1] == KAFKA_TABLE]

    assert live(node.description or "") == []
