"""``cubic audit`` as people and scripts meet it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import DMAP, depot_of, put_dmap


def test_a_sound_home_is_proved_sound(cubic: Cubic, ingested_home: Path) -> None:
    assert ingested_home.is_dir()
    outcome = cubic("audit", "--json")
    assert outcome.exit_code == 0
    assert (outcome.json["findings"], outcome.json["notes"]) == ([], [])
    assert (outcome.json["proved"]["loads"], outcome.json["proved"]["rows"]) == (10, 19)
    told = cubic("audit")
    assert told.exit_code == 0
    assert told.text.startswith("Everything is accounted for. Looked at: 14 archive objects, 0 error objects")
    assert told.text.endswith("10 loads, 19 rows, 0 quarantined, 10 partitions, 12 product rows. Findings: 0.")


def test_current_is_folded_again_if_that_is_asked_for(cubic: Cubic, ingested_home: Path) -> None:
    assert ingested_home.is_dir()
    proved = cubic("audit", "--json").json["proved"]
    outcome = cubic("audit", "--fold", "--json")
    assert (outcome.exit_code, outcome.json["findings"]) == (0, [])
    assert outcome.json["proved"] == proved | {"folded_rows": 6}
    told = cubic("audit", "--fold")
    assert told.text.endswith("product rows, 6 folded rows. Findings: 0.")


def test_what_is_wrong_is_named_with_its_load_and_the_remedy(cubic: Cubic, home: Path) -> None:
    depot = depot_of(home)
    put_dmap(depot, "20220304.csv")
    depot.put("cubic/dmap/unknown/[red].csv", b"x")
    depot.settle()
    depot.put(f"{DMAP}20220305.csv", b"x", modified_at=datetime(2022, 3, 5, tzinfo=UTC))
    (home / "archive" / DMAP / "20220304.csv").unlink()

    outcome = cubic("audit", "--json")
    assert outcome.exit_code == 1
    unregistered, finding = outcome.json["findings"]
    assert (unregistered["code"], unregistered["load_id"]) == ("unregistered", None)
    assert finding == {
        "code": "original_missing",
        "zone": "archive",
        "key": f"{DMAP}20220304.csv",
        "load_id": 1,
        "problem": "The archived original of the load is not there.",
        "remedy": "Restore it from a backup, or ask the vendor for the file again.",
    }
    unknown = "cubic/dmap/unknown/"
    assert outcome.json["notes"] == [f"{unknown}: 1 object left alone, no table declares it: {unknown}[red].csv"]
    told = cubic("audit")
    assert told.exit_code == 1
    assert "original_missing" in told.text
    assert "Findings: 2." in told.text


def test_an_audit_that_cannot_run_is_exit_code_2(cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home
    monkeypatch.setenv("CUBIC_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/x")
    outcome = cubic("audit")
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert "secret" not in outcome.error
