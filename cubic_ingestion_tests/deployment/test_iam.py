"""Policies grant what the adapters ask of AWS to those who need it, and nothing else."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster_aws.ecs
import pytest

from local_servers.production import DEPLOY, ROOT

POLICIES = sorted((DEPLOY / "iam").glob("*.json"))
S3_ACTIONS: Mapping[str, str] = {
    "list_objects_v2": "s3:ListBucket",
    "head_object": "s3:GetObject",
    "get_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "delete_object": "s3:DeleteObject",
}
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html names each one's permission."""

ZONES = ("INCOMING", "SPRINGBOARD", "ARCHIVE", "ERROR", "WAREHOUSE")
READING = {"s3:ListBucket", "s3:GetObject"}
WRITING = {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
REMOVING = WRITING | {"s3:DeleteObject"}
HTTP = {"get", "post", "stream", "close", "request", "build_request", "send"}
"""Methods of the HTTP client that DMAP is fetched by."""


NOT_NARROWED = {"ecs:DescribeTaskDefinition", "ec2:DescribeNetworkInterfaces"}
"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html"""

BY_PYICEBERG = {"glue:GetTables"}
"""What the list of the warehouse's tables asks of Glue; its other calls are those of the catalog."""

BESIDE_ECS = {"ecs:TagResource", "iam:PassRole", "logs:GetLogEvents", "ec2:DescribeNetworkInterfaces"}
"""What tags and roles of a task ask of who starts it, and what the launcher asks of other services."""


def statements(role: str) -> list[dict[str, Any]]:
    return json.loads((DEPLOY / "iam" / f"{role}.json").read_text(encoding="utf-8"))["Statement"]


def granted(role: str, place: str = "") -> set[str]:
    """Return the actions that a role may do where the resource names a place."""
    return {
        action
        for statement in statements(role)
        if any(place in resource for resource in statement["Resource"])
        for action in statement["Action"]
    }


def methods(package: str) -> Iterator[str]:
    """Yield the methods of boto3's clients that a package calls, paginated ones by the operation's name."""
    for path in (ROOT / "cubic_ingestion" / package).rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            called = call.func
            if isinstance(called, ast.Attribute) and ast.unparse(called.value).endswith(("client", "_client")):
                first = call.args[0] if call.args else None
                if called.attr == "get_paginator":
                    assert isinstance(first, ast.Constant)
                    yield str(first.value)
                else:
                    yield called.attr


def named_as_aws_does(service: str, method: str) -> str:
    return f"{service}:{''.join(word.capitalize() for word in method.split('_'))}"


def test_the_worker_may_do_what_the_stores_ask_in_every_zone() -> None:
    asked = {S3_ACTIONS[method] for method in methods("storage")}

    assert asked == REMOVING | READING
    for zone in ZONES:
        assert granted("worker", f"{zone}_BUCKET") == asked, zone


def test_the_worker_may_do_what_the_catalog_asks_and_the_auditor_may_read_it() -> None:
    asked = {named_as_aws_does("glue", method) for method in methods("catalog")}
    assert len(asked) > 8

    asked |= BY_PYICEBERG
    assert granted("worker", ":glue:") == asked
    assert granted("auditor", ":glue:") == {
        action for action in asked if action.startswith(("glue:Get", "glue:BatchGet"))
    }


def test_the_batcher_may_do_what_the_fetcher_asks() -> None:
    asked = {named_as_aws_does("kinesis", method) for method in methods("fetchers") if method not in HTTP}

    assert granted("batcher", ":kinesis:") == asked
    assert granted("batcher", "/cubic/kafka/*") == granted("batcher", "/cubic/kafka_dead_letter/*") == WRITING
    assert granted("batcher", "/cubic/kafka_open/*") == REMOVING


def test_the_daemon_on_ecs_may_do_what_its_launcher_asks() -> None:
    folder = Path(dagster_aws.ecs.__file__).parent
    text = "".join((folder / f"{name}.py").read_text("utf-8") for name in ("launcher", "tasks", "utils"))
    asked = {named_as_aws_does("ecs", method) for method in re.findall(r"\becs\.([a-z]+(?:_[a-z]+)+)\(", text)}

    assert asked - {"ecs:RegisterTaskDefinition"} == granted("ecs-daemon") - BESIDE_ECS  # ours is registered


def test_who_only_watches_changes_no_zone() -> None:
    for role in ("code-server", "webserver", "auditor"):
        zones = {action for zone in ZONES for action in granted(role, zone)}
        assert zones <= READING, role
    assert granted("code-server", "INCOMING") == granted("auditor", "ARCHIVE") == READING
    assert granted("webserver", "LOGS") == READING
    assert granted("code-server", "LOGS_PREFIX") == granted("worker", "LOGS_PREFIX") == WRITING


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_no_policy_has_a_wildcard_action_or_more_than_its_own_resources(path: Path) -> None:
    policy = json.loads(path.read_text(encoding="utf-8"))
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        assert set(statement) == {"Sid", "Effect", "Action", "Resource"}
        assert not [action for action in statement["Action"] if "*" in action]
        if statement["Resource"] == ["*"]:
            assert set(statement["Action"]) == NOT_NARROWED
            continue
        assert all(resource.startswith("arn:aws:") for resource in statement["Resource"])
        for resource in statement["Resource"]:
            assert resource.count("*") == resource.endswith(("/*", ":*")), resource


def test_every_role_is_on_the_page() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

    assert len(POLICIES) == 6
    assert [path.name for path in POLICIES if f"`{path.name}`" not in page] == []
