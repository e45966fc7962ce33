# One image for every role: webserver, daemon, code server, workers, and the command `cubic`.

FROM python:3.11-slim-bookworm AS build

RUN python -m venv /opt/venv
WORKDIR /src
COPY requirements.lock pyproject.toml README.md ./
COPY cubic_ingestion cubic_ingestion
# What the project needs, in the locked versions; the lock's tools for development stay out.
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --constraint requirements.lock .


FROM python:3.11-slim-bookworm

RUN useradd --uid 10001 --create-home --home-dir /var/lib/cubic cubic \
    && install --directory --owner=cubic /opt/dagster
COPY --from=build /opt/venv /opt/venv
COPY --chown=cubic deploy/dagster.yaml deploy/workspace.yaml deploy/dagster_celery_config.py /opt/dagster/

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/dagster \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/opt/dagster \
    CUBIC_HOME=/var/lib/cubic \
    CUBIC_LOG_FORMAT=json \
    CUBIC_LOG_LEVEL=info

USER cubic
WORKDIR /var/lib/cubic
EXPOSE 4000

# The code server. Other roles have other commands, and other health checks: see compose.yaml.
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "cubic_ingestion.definitions"]
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s \
    CMD ["dagster", "api", "grpc-health-check", "-p", "4000"]
