# Every target installs what it needs. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# As Dagster does, a value in .env counts unless the environment has its own.
CUBIC_HOME ?= $(shell sed -n 's/^CUBIC_HOME=//p' .env 2>/dev/null | tail -n 1)
override HOME_FOLDER := $(patsubst ~/%,$(HOME)/%,$(or $(strip $(CUBIC_HOME)),.cubic))
DAGSTER_FOLDER := $(abspath $(HOME_FOLDER))/dagster

# Tests wait for servers and processes of their own: four workers keep two cores busy. Fast tests wait for nothing.
PYTEST_OPTIONS ?= -n 4
UNIT_OPTIONS ?= -n 2
SLOW_ROOMS := cli defs deployment faults integration
HOUSE := cubic_ingestion_tests/test_architecture.py cubic_ingestion_tests/test_docs.py

.PHONY: help run unit test dev check lock bench ledger kafka s3 scan products audit workers soak storm clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(INSTALLED) ## Ingest the sample of all three streams and show what became of it
	@$(BIN)/cubic db upgrade
	@$(BIN)/cubic demo
	@$(BIN)/cubic ingest

unit: $(INSTALLED) ## Run the fast tests, for every save: no Dagster, no server
	$(BIN)/python -m pytest -q $(UNIT_OPTIONS) -m 'not slow and not postgres' $(SLOW_ROOMS:%=--ignore=cubic_ingestion_tests/%) \
		$(HOUSE:%=--ignore=%)

test: $(INSTALLED) ## Run all tests; Chromium and Redis are installed where that is allowed
	@bash .ci/install-chromium || echo "Left out: the browser tests. They need Debian's chromium (apt-get install chromium)."
	@bash .ci/install-redis || echo "Left out: the tests of many workers. They need Debian's Redis (apt-get install redis-server)."
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

dev: $(INSTALLED) ## Start Dagster's UI, sensors and daemon; state is kept under CUBIC_HOME
ifneq ($(or $(DAGSTER_HOME),$(filter .cubic,$(HOME_FOLDER))),)
	$(BIN)/dagster dev
else
	@mkdir -p '$(DAGSTER_FOLDER)'
	@sed 's|\.cubic/dagster|$(DAGSTER_FOLDER)|' dagster.yaml > '$(DAGSTER_FOLDER)/dagster.yaml'
	DAGSTER_HOME='$(DAGSTER_FOLDER)' $(BIN)/dagster dev
endif

check: $(INSTALLED) ## The one gate: lint, format, types, layers, and the tests of house and docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/python -m pytest -q $(HOUSE)

lock: $(INSTALLED) ## Write requirements.lock again from pyproject.toml (OPTIONS=--upgrade for newer versions)
	env -u PIP_EXTRA_INDEX_URL -u PIP_FIND_LINKS PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND='make lock' \
		$(BIN)/pip-compile --quiet $(OPTIONS) --output-file requirements.lock pyproject.toml

bench: $(INSTALLED) ## Measure speed and memory against DuckDB, Polars and pandas (OPTIONS=--full for 1 and 10 GB)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-bench.lock
	$(BIN)/python -m benchmarks $(OPTIONS)

ledger: $(INSTALLED) ## Measure the ledger with 10 million loads, and the indexes its queries use (OPTIONS)
	$(BIN)/python -m benchmarks.ledger $(OPTIONS)

kafka: $(INSTALLED) ## Measure the Kafka batcher in records per second; each is in one file (OPTIONS=--http for Kinesis over HTTP)
	$(BIN)/python -m benchmarks.kafka $(OPTIONS)

s3: $(INSTALLED) ## Measure loads per second on S3 over HTTP, with 1, 8 and 32 in flight, against a bare loop (OPTIONS)
	$(BIN)/python -m benchmarks.s3 $(OPTIONS)

scan: $(INSTALLED) ## Measure a scan of a million known keys, time and memory, against a bare listing (OPTIONS)
	$(BIN)/python -m benchmarks.scan $(OPTIONS)

products: $(INSTALLED) ## Measure products: many small loads, and __current beside its peers (OPTIONS=--full for the largest sizes)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-bench.lock
	$(BIN)/python -m benchmarks.products $(OPTIONS)

audit: $(INSTALLED) ## Measure cubic audit, time and memory, for up to a million loads and with findings (OPTIONS)
	$(BIN)/python -m benchmarks.audit $(OPTIONS)

workers: $(INSTALLED) ## Measure loads a minute with 1, 2 and 4 workers as in production (OPTIONS=--folders without S3)
	$(BIN)/python -m benchmarks.workers $(OPTIONS)

soak: $(INSTALLED) ## Ten minutes under fire (kills, locks, overwrites), then proof that nothing is lost (OPTIONS)
	$(BIN)/python -m benchmarks.soak $(OPTIONS)

storm: $(INSTALLED) ## Kills, a harmful S3, hostile names and wrong clocks at once; are all watchers right? (OPTIONS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-bench.lock
	$(BIN)/python -m benchmarks.storm $(OPTIONS)

clean: ## Remove the environment and caches; data under CUBIC_HOME stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed; '$(PYTHON)' is not. Name one: make $(or $(MAKECMDGOALS),run) PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 2; }
	@echo "Installing the locked packages into $(VENV) (about a minute, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
