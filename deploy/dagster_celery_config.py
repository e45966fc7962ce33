"""Settings of the Celery workers. dagster-celery imports the module of this name from the worker's ``PYTHONPATH``."""

import os

from celery.signals import setup_logging

from cubic_ingestion.bootstrap import logs_from_environment

broker_url = os.environ["DAGSTER_CELERY_BROKER_URL"]
result_backend = os.environ["DAGSTER_CELERY_BACKEND_URL"]
task_default_queue = "dagster"

# A broker that is away is waited for, however long; what is being worked on goes on meanwhile.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_transport_options = {"socket_connect_timeout": 5, "socket_keepalive": True}
redis_socket_connect_timeout = 5

# A run is taken when a process is free for it, and not before: it would wait behind a long one while others idle.
worker_prefetch_multiplier = 1
worker_disable_prefetch = True

# Processes live on, so that a run finds everything imported and connected; one after so many runs is a new one.
worker_max_tasks_per_child = 200

# Logs are the platform's, Celery's lines among them: CUBIC_LOG_FORMAT and CUBIC_LOG_LEVEL. What a run prints goes to
# the compute logs, not through Celery's log, which would tell it twice.
worker_redirect_stdouts = False


@setup_logging.connect
def set_up_logs(**_: object) -> None:
    """Take the place of Celery's own logging."""
    logs_from_environment()


# Dagster keeps what became of a run. The daemon asks Celery only while a run goes on.
result_expires = 86_400
