"""Instance: the Dagster instance that the command line shares with the daemon and the web UI."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml

from cubic_ingestion.errors import SettingsError
from cubic_ingestion.settings import Settings

CONFIG_FILE = "dagster.yaml"


@contextmanager
def dagster_instance(settings: Settings) -> Generator[dg.DagsterInstance]:
    """Open the instance of ``DAGSTER_HOME``, or else the embedded one below the home.

    Without ``DAGSTER_HOME`` the working directory's ``dagster.yaml`` counts, as it does for ``dagster dev``, and all
    that it keeps goes below ``<home>/dagster``.

    Raises:
        SettingsError: ``DAGSTER_HOME`` is not the absolute path of a folder, as Dagster requires.
    """
    if settings.dagster_home is not None:
        if not (settings.dagster_home.is_absolute() and settings.dagster_home.is_dir()):
            problem = f"'{settings.dagster_home}' is no folder's absolute path."
            raise SettingsError("DAGSTER_HOME", problem, "Make the folder, or unset DAGSTER_HOME.")
        opened = dg.DagsterInstance.from_config(str(settings.dagster_home))
    else:
        state = settings.home.absolute() / "dagster"
        state.mkdir(parents=True, exist_ok=True)
        # Despite its name this keeps everything in the folder it is given.
        opened = dg.DagsterInstance.local_temp(str(state), overrides=_config() | embedded_state(state))
    with opened as instance:
        yield instance


def _config() -> dict[str, object]:
    path = Path(CONFIG_FILE)
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


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
