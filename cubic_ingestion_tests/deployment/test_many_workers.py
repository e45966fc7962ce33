"""Daemon, code server and two workers on S3, Glue, PostgreSQL and Redis; a worker and the broker are killed."""

import time
from typing import Any

import pytest

from cubic_ingestion.cli.sample import sample_files
from cubic_ingestion_tests.homes import KAFKA
from local_servers.production import Production

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

N_FILES = 150
AWAY_SECONDS = 3
ENOUGH_SECONDS = 80
WORKERS = ("worker-1", "worker-2")


def put_batches(bucket: Any, name: str) -> None:
    """Let Kafka batches land."""
    for number in range(N_FILES):
        body = f'{{"event_id": "{number}"}}\n'.encode()
        bucket.put_object(Key=f"dev/incoming/{KAFKA}{name}{number}.json", Body=body)


def put_sample(bucket: Any) -> int:
    """Let the sample of all three streams land; returns the number of its loads."""
    files = sample_files()
    for key, body in files.items():
        bucket.put_object(Key=f"dev/incoming/{key}", Body=body)
    return sum(not key.endswith(".dfm") for key in files)


def n_archived(production: Production, prefix: str) -> int:
    ((number,),) = production.query(
        f"SELECT count(*) FROM cubic_loads WHERE status = 'archived' AND s3_key LIKE '{prefix}%'"
    )
    return number


def claims(production: Production) -> set[str]:
    """Return who holds loads to ingest them: a run's id, and the claim's own."""
    return {claim for (claim,) in production.query("SELECT claimed_by FROM cubic_loads WHERE status = 'ingesting'")}


def worker_of(production: Production, claim: str) -> str:
    """Return the worker that has the task of the run that made a claim."""
    run_id = claim.partition("/")[0]
    ((task_id,),) = production.query(
        f"SELECT value FROM run_tags WHERE run_id = '{run_id}' AND key = 'dagster-celery/task_id'",
        "DAGSTER_POSTGRES_URL",
    )
    (name,) = [name for name in WORKERS if task_id in production.log(name)]
    return name


def everything_is_accounted_for(production: Production, bucket: Any) -> None:
    """Prove it, once the catalog has been told."""
    production.wait_until(
        lambda: not production.query("SELECT 1 FROM cubic_deliveries WHERE consumer = 'catalog'"),
        "the catalog knows everything",
    )
    audit = production.cubic("audit", "--json")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert list(bucket.objects.filter(Prefix="dev/incoming/")) == []


def test_another_worker_takes_over_what_a_killed_one_held(production: Production, bucket: Any) -> None:
    put_batches(bucket, "killed")
    production.wait_until(lambda: bool(claims(production)), "a run holds loads")
    (claim,) = claims(production)
    killed = worker_of(production, claim)
    production.kill(killed)
    left = production.query(f"SELECT count(*) FROM cubic_loads WHERE claimed_by = '{claim}' AND status = 'ingesting'")
    production.wait_until(
        lambda: n_archived(production, f"{KAFKA}killed") == N_FILES, "all loads are archived", ENOUGH_SECONDS
    )
    production.start_worker(killed)

    assert left != [(0,)]
    everything_is_accounted_for(production, bucket)


def test_a_broker_that_was_killed_is_waited_for(production: Production, bucket: Any) -> None:
    before = n_archived(production, "cubic/")
    put_batches(bucket, "broker")
    production.wait_until(lambda: bool(claims(production)), "a run holds loads")
    production.kill("redis")
    expected = before + N_FILES + put_sample(bucket)
    time.sleep(AWAY_SECONDS)
    production.start_broker()
    production.wait_until(
        lambda: n_archived(production, "cubic/") == expected, "all loads are archived", ENOUGH_SECONDS
    )

    everything_is_accounted_for(production, bucket)
