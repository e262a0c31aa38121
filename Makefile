# Cardwatch on a machine with Python 3.11 and nothing else. `make` alone prints what there is.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := libs/units libs/card-numbers libs/contracts libs/service libs/kafka libs/rules libs/rulebook libs/oracle libs/platform libs/mapping libs/reference libs/lakehouse \
            services/producer services/enricher services/spark-detector services/notifier \
            services/snowflake-loader cli
SOURCES := $(addsuffix /src,$(PACKAGES)) deploy/observability/src
# Tests that need docker, a cluster or Prometheus run seldom: their calls of what has changed are at least type-checked.
SELDOM_RUN := tests/images tests/kubernetes tests/monitoring
INSTALLED := $(VENV)/.installed
HANDBOOK ?= ../shared/data/handbook
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo demo-handbook test test-faults fuzz fuzz-engine test-observability dashboards check format wheels sbom audit-dependencies lock up down logs secrets test-images manifests test-kubernetes clean

help: ## Print this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make demo ARGS="--duration 30s --rate 500 --report report.json" passes options on;'
	@echo '  make test ARGS="-k enricher" does as well.'

install: $(INSTALLED) ## Make .venv with everything in it; instant when nothing changed.
	@echo "$(VENV) is up to date"

$(INSTALLED): requirements/requirements.txt scripts/install $(addsuffix /pyproject.toml,$(PACKAGES))
	@scripts/install $(VENV) $(PACKAGES)
	@$(BIN)/python scripts/engine jar >/dev/null
	@touch $@

demo: $(INSTALLED) ## Run the whole pipeline on this machine for a minute and check its result.
	@$(BIN)/cardwatch demo $(ARGS)

demo-handbook: $(INSTALLED) ## Replay the Fraud Detection Handbook's transactions (HANDBOOK=directory) at full speed.
	@$(BIN)/cardwatch demo --replay "$$(ls $(HANDBOOK)/*.parquet | head -n 1)" --mapping config/mappings/handbook.yaml \
	    --rules config/rules/handbook.yaml $(ARGS)

# A hundred processes are started: each would compile our modules again where the environment says not to keep the result.
# A file's tests stay in one process, in their order: many share a service, or a Spark. Each process has a broker of its own.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
# A process that dies ends the run, with the name of its test: pytest-xdist 3.8 can wait forever for one that replaces it.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test: $(INSTALLED) ## Unit tests, each service and the whole pipeline on a real broker, registry and Spark. ARGS="-n 0 -k …" for some.
	@$(PYTEST) $(PARALLEL) -m "not faults" $(ARGS)

test-faults: $(INSTALLED) ## All other tests: kills, outages, rebuilds, an object store, long streams, more random examples; at most 35 minutes.
	@$(PYTEST) $(PARALLEL) -m "faults or thorough" --hypothesis-profile=thorough $(ARGS)

fuzz: $(INSTALLED) ## 100,000 fuzzed messages of every kind through each service; hours. ARGS="enricher --messages 10000" for less.
	@$(BIN)/python benchmarks/fuzz.py $(ARGS)

fuzz-engine: $(INSTALLED) ## 100,000 random histories: operator, evaluator and oracle agree; an hour. ARGS="--cases 10000" for less.
	@$(BIN)/python benchmarks/equivalence.py $(ARGS)

test-observability: $(INSTALLED) ## Every panel's query and the alerts, in earnest: minutes; needs Debian's prometheus and prometheus-alertmanager.
	@$(BIN)/python -m pytest tests/monitoring $(ARGS)

dashboards: $(INSTALLED) ## Make Grafana's dashboards and the objectives' recording rules from deploy/observability.
	@scripts/dashboards

check: $(INSTALLED) ## Lint, formatting, types and import rules; the Java sources with all warnings.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(SOURCES) $(SELDOM_RUN)
	@PYTHONPATH=deploy/observability/src $(BIN)/lint-imports --no-cache
	@$(BIN)/python scripts/engine check

format: $(INSTALLED) ## Format the sources, Python and Java.
	@$(BIN)/ruff format .
	@$(BIN)/python scripts/engine format

wheels: $(INSTALLED) ## Wheels of the detector and the libraries it needs, and one of all for Databricks, into dist/.
	@$(BIN)/python scripts/wheels

sbom: $(INSTALLED) ## The images' bills of materials (CycloneDX) from the lock files, into artifacts/sbom.
	@$(BIN)/python scripts/sbom $(ARGS)

audit-dependencies: $(INSTALLED) ## Known vulnerabilities in the locked packages, by pip-audit; needs the Internet.
	@$(BIN)/python scripts/audit-dependencies $(ARGS)

lock: ## Resolve requirements/requirements.in into requirements/requirements.txt and images/: versions and checksums.
	@scripts/lock

up: ## Start Cardwatch in Docker: build the images, make .env and secrets, start what COMPOSE_PROFILES names.
	@scripts/compose up $(ARGS)

down: ## Stop what `make up` started; data stays (ARGS=--volumes removes it too).
	@scripts/compose down $(ARGS)

logs: ## Follow the containers' logs (ARGS="enricher notifier" those of some).
	@scripts/compose logs $(ARGS)

secrets: ## Make missing secrets of docker-compose.yml in ./secrets.
	@scripts/compose secrets

# STANDINS names a program that makes images on a machine that cannot pull any: `$(STANDINS) image NAME:TAG…`. Without it docker pulls.
STANDINS ?=
test-images: $(INSTALLED) ## Build every image, start all of docker-compose.yml and test it; needs docker, not part of `test`.
	@STANDINS="$(STANDINS)" $(BIN)/python -m pytest tests/images $(ARGS)

manifests: $(INSTALLED) ## Write the generated files of deploy/kubernetes; needs kubectl or kustomize.
	@$(BIN)/python scripts/kubernetes-manifests

# CLUSTER names a program that starts a cluster (up, run, down; tests/kubernetes/conftest.py); KUBE_CONTEXT a context of yours.
CLUSTER ?=
KUBE_CONTEXT ?=
test-kubernetes: $(INSTALLED) ## Apply both overlays of deploy/kubernetes to a cluster; not part of `test`.
	@CLUSTER="$(CLUSTER)" KUBE_CONTEXT="$(KUBE_CONTEXT)" $(BIN)/python -m pytest tests/kubernetes $(ARGS)

clean: ## Remove what runs and checks leave behind; .venv and downloads stay.
	rm -rf .cardwatch/demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache artifacts
	find libs services cli tests -name __pycache__ -type d -prune -exec rm -rf {} +
