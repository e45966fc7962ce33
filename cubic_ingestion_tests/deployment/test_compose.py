"""``compose.yaml`` and ``Dockerfile`` hold together: valid, and whatever one place names, another has."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points, version
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from cubic_ingestion.settings import Settings
from local_servers.production import DEPLOY, ROOT

TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
GIVEN = {"POSTGRES_PASSWORD": "secret"}
OF_OTHERS = {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
QUEUES = {"ods", "dmap", "kafka", "products", "dagster"}
PROGRAMS_OF_IMAGES = {"pg_isready", "postgres", "redis-cli", "redis-server", "python"}


def interpolated(text: str) -> str:
    """Put values in the place of ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?error}``, as Compose does."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        return GIVEN.get(name) or {":-": rest, ":?": ""}.get(kind or "", "")

    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, text)


def compose() -> dict[str, Any]:
    return yaml.safe_load(interpolated(TEXT))


SERVICES: Mapping[str, dict[str, Any]] = compose()["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
DAGSTER_VARIABLES = set(re.findall(r"env: (DAGSTER_\w+)", "".join(p.read_text("utf-8") for p in DEPLOY.glob("*.yaml"))))


def test_it_is_valid_by_the_specification() -> None:
    assert set(PyCompose.from_json(json.dumps(compose())).service_names()) == set(SERVICES)


def test_the_validator_knows_a_slip_when_it_sees_one() -> None:
    wrong = compose()
    wrong["services"]["code"]["comand"] = ["true"]
    with pytest.raises(ValueError, match="comand"):
        PyCompose.from_json(json.dumps(wrong))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_waits_for_services_in_a_state_that_they_reach(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        check = SERVICES[other].get("healthcheck", {})
        if how["condition"] == "service_healthy":
            assert check.get("test") or (other in OURS and not check)  # the image's own
        else:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"buckets", "migrate", "code"}))
def test_what_goes_on_has_a_health_check_of_its_own(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert SERVICES[name]["restart"] == "unless-stopped"


def programs() -> Iterator[tuple[str, str]]:
    """Yield every program that a service or its health check runs."""
    for name, service in SERVICES.items():
        if "command" in service:
            yield name, service["command"][0]
        if "test" in service.get("healthcheck", {}):
            kind, *words = service["healthcheck"]["test"]
            yield name, words[0].split()[0] if kind == "CMD-SHELL" else words[0]
    for kind in ("CMD", "HEALTHCHECK"):
        assert re.search(rf"^{kind}", DOCKERFILE, re.MULTILINE)
    yield from (("image", word) for word in re.findall(r'CMD \["([^"]+)"', DOCKERFILE))


def test_every_command_is_one_that_the_image_has() -> None:
    scripts = {script.name for script in entry_points(group="console_scripts")}
    ran = list(programs())

    assert {"dagster", "dagster-daemon", "dagster-webserver", "celery", "cubic"} <= {program for _, program in ran}
    assert [each for each in ran if each[1] not in scripts | PROGRAMS_OF_IMAGES] == []


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_has_every_variable_and_no_unknown_one(name: str) -> None:
    given = set(SERVICES[name]["environment"])
    settings = {f"CUBIC_{field.upper()}" for field in Settings.model_fields}

    assert given - settings - DAGSTER_VARIABLES == OF_OTHERS
    assert given >= DAGSTER_VARIABLES


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_a_service_are_ones_that_the_platform_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    assert Settings().catalog == "glue"  # pyright: ignore[reportCallIssue] - every field has a default


def test_every_queue_has_a_worker() -> None:
    commands = [service["command"] for name, service in SERVICES.items() if name.startswith("worker-")]

    assert {command[command.index("-Q") + 1] for command in commands} == QUEUES
    assert all(SERVICES[name]["stop_grace_period"] for name in SERVICES if name.startswith("worker-"))


def test_volumes_and_files_are_there() -> None:
    named = compose()["volumes"]
    for service in SERVICES.values():
        for source in (volume.partition(":")[0] for volume in service.get("volumes", ())):
            assert source in named or (ROOT / source).is_file(), source


def test_no_port_is_open_to_the_world() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_redis_and_postgres_are_reached_by_the_other_services_alone() -> None:
    assert compose()["networks"] == {"inner": {"internal": True}}
    assert [SERVICES[name]["networks"] for name in ("redis", "postgres")] == [["inner"], ["inner"]]
    assert {name for name in OURS if "inner" not in SERVICES[name]["networks"]} == set()


def test_every_port_that_a_process_listens_on_is_in_the_table_of_ports() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| (\d+) \|", page.partition("\n## Ports\n")[2].partition("\n## ")[0], re.MULTILINE))
    published = {port.rpartition(":")[2] for service in SERVICES.values() for port in service.get("ports", ())}
    exposed = set(re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE))

    assert told == published | exposed | {"5432", "6379"}


def test_no_password_stands_in_the_files() -> None:
    assert "${POSTGRES_PASSWORD:?" in TEXT
    assert not re.search(r"(?i)(password|secret|key)=", DOCKERFILE)


def test_images_have_a_version_and_moto_s_is_the_one_that_the_tests_have() -> None:
    images = {service["image"] for name, service in SERVICES.items() if name not in OURS}

    assert f"motoserver/moto:{version('moto')}" in images
    assert all(re.search(r":\d", image) for image in images)


def test_the_image_has_what_it_copies_and_runs_as_nobody_special() -> None:
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
        if not word.startswith("--")
    ]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert len(copied) > 5
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert [path for path in copied if f"!{path}" not in ignored] == []
    user = re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)
    assert user == ["cubic"]
    assert f"useradd --uid 10001 --create-home --home-dir /var/lib/cubic {user[0]}" in DOCKERFILE
    assert re.search(r"^CUBIC_HOME|CUBIC_HOME=/var/lib/cubic", DOCKERFILE, re.MULTILINE)
