"""Which URLs name a bucket."""

from pathlib import Path

import pytest

from cubic_ingestion.errors import SettingsError
from cubic_ingestion.storage import open_store


@pytest.mark.parametrize("url", ["{folder}", "file://{folder}", "file://localhost{folder}/", "{folder}/"])
def test_a_folder_is_named_by_a_path_or_by_a_file_url(tmp_path: Path, url: str) -> None:
    store = open_store(url.format(folder=tmp_path))

    assert store.uri("a/b.csv") == f"file://{tmp_path}/a/b.csv"


def test_a_relative_path_starts_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert open_store(".cubic/incoming").uri("") == f"file://{tmp_path}/.cubic/incoming/"


def test_a_file_url_may_be_percent_encoded(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}/a%20b").uri("") == f"file://{tmp_path}/a%20b/"


@pytest.mark.parametrize("url", ["s3:///prefix/", "https://host/folder", "file://host/folder", "file://", " "])
def test_any_other_url_is_a_mistake_of_the_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="CUBIC_INCOMING_URL"):
        open_store(url, setting="CUBIC_INCOMING_URL")
