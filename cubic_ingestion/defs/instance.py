"""Instance: the Dagster instance that the command line shares with the daemon and the web UI."""

import sqlite3
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef
from filelock import FileLock

from cubic_ingestion.errors import SettingsError
from cubic_ingestion.ledger.dagster_storage import dagster_storage_errors
from cubic_ingestion.settings import Settings

CONFIG_FILE = "dagster.yaml"
SHIPPED = Path(__file__).with_name(CONFIG_FILE)
"""A copy of the file in the root of the repository, which no installed package has; a test holds them equal."""

_NO_TELEMETRY = {"telemetry": {"enabled": False}}
"""Dagster sends statistics to its makers unless it is told not to."""


@contextmanager
def existing_instance(settings: Settings) -> Generator[dg.DagsterInstance | None]:
    """Open the instance that ``dagster_instance`` opens; None if nobody has ever used one from here.

    Raises:
        SettingsError: As ``dagster_instance``.
    """
    if settings.dagster_home is None and not (settings.home / "dagster" / "history").is_dir():
        yield None
        return
    with dagster_instance(settings) as instance:
        yield instance


@contextmanager
def dagster_instance(settings: Settings) -> Generator[dg.DagsterInstance]:
    """Open the instance of ``DAGSTER_HOME``, or else the embedded one below the home.

    Without ``DAGSTER_HOME`` the working directory's ``dagster.yaml`` counts, as it does for ``dagster dev``, or else
    the one that is shipped; all that it keeps goes below ``<home>/dagster``. Telemetry is off unless such a file turns
    it on.

    Raises:
        SettingsError: ``DAGSTER_HOME`` is not the absolute path of a folder, as Dagster requires; or Dagster's storage
            cannot be used, for example because the disk is full.
    """
    home = settings.dagster_home
    if home is not None and not (home.is_absolute() and home.is_dir()):
        raise SettingsError(
            "DAGSTER_HOME", f"'{home}' is no folder's absolute path.", "Make the folder, or unset DAGSTER_HOME."
        )
    state = home or settings.home.absolute() / "dagster"
    with dagster_storage_errors(state):
        with dagster_storage_errors(state, OSError):
            opened = _opened(home, state)
        with opened as instance, _logs_kept_open(state):
            yield instance


def _opened(home: Path | None, state: Path) -> dg.DagsterInstance:
    state.mkdir(parents=True, exist_ok=True)
    # Two that open a new instance at once would both create its tables, and Dagster lets the second one fail.
    with FileLock(state / "opening.lock"):
        if home is not None:
            overrides = {} if "telemetry" in _read(home / CONFIG_FILE) else _NO_TELEMETRY
            return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))
        _leave_config(state)
        # Despite its name this keeps everything in the folder it is given.
        return dg.DagsterInstance.local_temp(str(state), overrides=_config() | embedded_state(state))


@contextmanager
def _logs_kept_open(state: Path) -> Generator[None]:
    """Hold a connection to each of Dagster's SQLite files that all runs share.

    Dagster connects anew for every event, and SQLite folds the write-ahead log into its file whenever the last
    connection closes: with one kept open, a step of a run costs a third less.
    """
    with ExitStack() as held:
        for path in (*state.glob("history/*.db"), *state.glob("history/runs/index.db")):
            connection = held.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
            connection.execute("PRAGMA schema_version").fetchone()  # opens the log; connecting alone does not
        yield


def _config() -> dict[str, object]:
    path = Path(CONFIG_FILE)
    return _NO_TELEMETRY | _read(path if path.exists() else SHIPPED)


def _leave_config(state: Path) -> None:
    """Leave the shipped settings in the state's folder, so that it can be the ``DAGSTER_HOME`` of ``dagster dev``."""
    path = state / CONFIG_FILE
    if not path.exists():
        kept = {name: value for name, value in _read(SHIPPED).items() if name not in embedded_state(state)}
        path.write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")


def _read(path: Path) -> dict[str, object]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}


def embedded_state(state: Path) -> dict[str, object]:
    """Return the part of ``dagster.yaml`` that says where state is kept, for one folder."""
    return {
        "storage": {"sqlite": {"base_dir": str(state)}},
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(state / "compute_logs")},
        },
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(state)},
        },
    }
