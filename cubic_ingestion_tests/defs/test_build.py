"""The definitions as Dagster loads them: complete, and made from the declarations alone."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cubic_ingestion.bootstrap import SharedPlatform
from cubic_ingestion.defs import build_definitions
from cubic_ingestion.defs.arrivals import ARRIVALS
from cubic_ingestion.defs.audit import AUDIT
from cubic_ingestion.defs.partitions import DMAP_DAYS
from cubic_ingestion.defs.translator import feed_key, product_key
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.tables import load_tables
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.defs.conftest import BASE_TABLE, CHANGE_TABLE, DMAP_TABLE, KAFKA_TABLE
from cubic_ingestion_tests.homes import AT_THREE
from local_servers.environment import clean_environment

ROOT = Path(__file__).parents[2]

LOADS_QUIETLY = """
import sys
WRITES = {"os.mkdir", "os.remove", "os.rename", "sqlite3.connect", "socket.connect", "socket.getaddrinfo"}
def tell(event, args):
    if event in WRITES or (event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")):
        print("touched", event, args[:2], file=sys.stderr)
sys.addaudithook(tell)
import cubic_ingestion.definitions
print(len(list(cubic_ingestion.definitions.defs.resolve_asset_graph().get_all_asset_keys())))
"""


@pytest.fixture(scope="module")
def declared() -> Mapping[str, Table]:
    """All tables that ship with the project."""
    return load_tables()


@pytest.fixture(scope="module")
def shipped(declared: Mapping[str, Table]) -> dg.Definitions:
    """The definitions of all tables that ship with the project."""
    return build_definitions(declared, SharedPlatform().get, AT_THREE)


def in_nowhere(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where no database answers, and no home can be made."""
    nowhere = {
        "CUBIC_HOME": "/proc/nowhere/.cubic",
        "CUBIC_DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nothing",
        "CUBIC_INCOMING_URL": "/proc/nowhere/incoming",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
    }
    environment = clean_environment() | nowhere
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_loading_touches_no_network_no_database_and_no_file(tmp_path: Path, declared: Mapping[str, Table]) -> None:
    done = in_nowhere(tmp_path, sys.executable, "-c", LOADS_QUIETLY)

    assert (done.returncode, done.stdout.strip()) == (0, str(len(_assets(declared)))), done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("touched")] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_dagster_finds_the_definitions_valid(tmp_path: Path) -> None:
    dagster = str(Path(sys.executable).with_name("dagster"))
    done = in_nowhere(tmp_path, dagster, "definitions", "validate", "-m", "cubic_ingestion.definitions")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr


def _assets(declared: Mapping[str, Table]) -> set[dg.AssetKey]:
    """Name what is shown: every table and its product, the feeds of those that have one, the audit and the arrivals."""
    tables = {dg.AssetKey(["springboard", table.stream.value, name]) for name, table in declared.items()}
    feeds = {feed_key(table) for table in declared.values() if table.feed}
    products = {product_key(product) for product in products_of(declared.values()).values()}
    return tables | products | feeds | {AUDIT, ARRIVALS}


def test_every_declared_table_and_feed_has_its_asset(declared: Mapping[str, Table], shipped: dg.Definitions) -> None:
    assert shipped.resolve_asset_graph().get_all_asset_keys() == _assets(declared)
    assert len(declared) > 200


def test_dmap_shares_days_and_every_other_table_has_partitions_of_its_own(
    declared: Mapping[str, Table], shipped: dg.Definitions
) -> None:
    specs = {spec.key.path[-1]: spec.partitions_def for spec in shipped.resolve_all_asset_specs()}

    for name, table in declared.items():
        if table.stream is StreamName.DMAP:
            assert specs[name] == DMAP_DAYS
        else:
            assert specs[name] == dg.DynamicPartitionsDefinition(name=name)


def test_today_is_a_day_that_can_be_asked_for() -> None:
    days = DMAP_DAYS.get_partition_keys()
    assert days[0] == "2020-01-01"
    assert DMAP_DAYS.get_last_partition_key() == f"{_today():%Y-%m-%d}"


def _today() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_one_sensor_a_stream_watches_its_tables_from_the_start(
    declared: Mapping[str, Table], shipped: dg.Definitions
) -> None:
    sensors: dict[str, dg.SensorDefinition] = {sensor.name: sensor for sensor in shipped.sensors or ()}  # pyright: ignore[reportAssignmentType] - no unresolved ones here

    assert sensors.keys() == {
        "ods_incoming",
        "dmap_incoming",
        "kafka_incoming",
        "originals",
        "catalog",
        "products",
        "unreported_partitions",
        "release_failed_run",
        "dead_runs",
        "missing_arrivals_sensor",
    }
    assert {sensor.default_status for sensor in sensors.values()} == {dg.DefaultSensorStatus.RUNNING}
    graph = shipped.resolve_asset_graph()
    for stream in StreamName:
        selection = sensors[f"{stream}_incoming"].asset_selection
        assert selection is not None
        names = {key.path[-1] for key in selection.resolve(graph)}
        assert names == {name for name, table in declared.items() if table.stream is stream}


def test_a_stream_without_an_active_table_has_no_sensor() -> None:
    definitions = build_definitions(
        {"cubic__dmap__agg_sample": a_table(is_active=False)}, SharedPlatform().get, AT_THREE
    )

    assert "dmap_incoming" not in {sensor.name for sensor in definitions.sensors or ()}
    assert len(definitions.resolve_asset_graph().get_all_asset_keys() - {AUDIT, ARRIVALS}) == 1


def test_runs_stay_in_one_process(shipped: dg.Definitions) -> None:
    assert shipped.executor is dg.in_process_executor


def test_the_sample_tables_show_what_people_look_for(shipped: dg.Definitions) -> None:
    shown = {spec.key.path[-1]: _shown(spec) for spec in shipped.resolve_all_asset_specs()}

    assert {name: shown[name] for name in (BASE_TABLE, CHANGE_TABLE, DMAP_TABLE, KAFKA_TABLE)} == {
        BASE_TABLE: {
            "key": "springboard/ods/cubic__ods_qlik__edw_sample",
            "group": "ods",
            "kinds": {"parquet", "qlik"},
            "tags": {"cubic/stream": "ods"},
            "description": "Sample of an ODS table: full loads and, in its change table, what happened since.",
            "columns": None,
            "metadata": {"cubic/table": BASE_TABLE, "dagster/table_name": BASE_TABLE},
        },
        CHANGE_TABLE: {
            "key": "springboard/ods/cubic__ods_qlik__edw_sample__ct",
            "group": "ods",
            "kinds": {"parquet", "qlik"},
            "tags": {"cubic/stream": "ods"},
            "description": shown[CHANGE_TABLE]["description"],
            "columns": None,
            "metadata": {"cubic/table": CHANGE_TABLE, "dagster/table_name": CHANGE_TABLE},
        },
        DMAP_TABLE: {
            "key": "springboard/dmap/cubic__dmap__agg_sample",
            "group": "dmap",
            "kinds": {"csv", "parquet"},
            "tags": {"cubic/stream": "dmap"},
            "description": "Sample of a DMAP aggregation: one data set a day.",
            "columns": ["sample_id int64", "sample_name string", "sample_count int64"],
            "metadata": {"cubic/table": DMAP_TABLE, "dagster/table_name": DMAP_TABLE},
        },
        KAFKA_TABLE: {
            "key": "springboard/kafka/cubic__kafka__sample",
            "group": "kafka",
            "kinds": {"json", "parquet"},
            "tags": {"cubic/stream": "kafka"},
            "description": "Sample of a Kafka topic: one record an event.",
            "columns": [
                "event_id string",
                "event_type string",
                "occurred_at timestamp[us]",
                "amount decimal128(10, 2)",
                "is_transfer bool",
                "rider json",
                "kinesis_shard_id string",
                "kinesis_sequence_number string",
            ],
            "metadata": {"cubic/table": KAFKA_TABLE, "dagster/table_name": KAFKA_TABLE},
        },
    }


def test_a_raw_table_says_so_and_shows_text_columns() -> None:
    definitions = build_definitions({"cubic__dmap__agg_sample": a_table(is_raw=True)}, SharedPlatform().get, AT_THREE)
    [shown] = [_shown(spec) for spec in definitions.resolve_all_asset_specs() if spec.key not in {AUDIT, ARRIVALS}]

    assert shown["tags"] == {"cubic/stream": "dmap", "cubic/raw": "true"}
    assert shown["metadata"]["dagster/table_name"] == "raw_cubic__dmap__agg_sample"
    assert shown["columns"] == ["sample_id string", "sample_name string", "sample_count string"]


def _shown(spec: dg.AssetSpec) -> dict[str, Any]:
    hidden = ("dagster/kind/", "dagster/io_manager_key")
    metadata = {
        name: value for name, value in spec.metadata.items() if not name.startswith(("dagster/io_", "dagster/cod"))
    }
    schema = metadata.pop("dagster/column_schema", None)
    return {
        "key": spec.key.to_user_string(),
        "group": spec.group_name,
        "kinds": spec.kinds,
        "tags": {name: value for name, value in spec.tags.items() if not name.startswith(hidden)},
        "description": spec.description,
        "columns": [f"{column.name} {column.type}" for column in schema.columns] if schema else None,
        "metadata": metadata,
    }
