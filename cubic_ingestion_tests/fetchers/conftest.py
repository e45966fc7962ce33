"""Fixtures of the fetchers' tests."""

from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest

from cubic_ingestion_tests.fetchers.kinesis_server import kinesis_server


@pytest.fixture(scope="module")
def server() -> Iterator[Mapping[str, str]]:
    """Variables that lead to a Kinesis over HTTP."""
    with kinesis_server() as variables:
        yield variables


@pytest.fixture
def kinesis(server: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Client of that Kinesis, which the environment names."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return boto3.client("kinesis")
