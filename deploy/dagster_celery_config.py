"""Settings of the Celery workers. dagster-celery imports the module of this name from the worker's ``PYTHONPATH``."""

import os

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

# Dagster keeps what became of a run. The daemon asks Celery only while a run goes on.
result_expires = 86_400
