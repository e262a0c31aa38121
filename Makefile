# Cardwatch on a machine with Python 3.11 and nothing else. `make` alone prints what there is.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := libs/contracts libs/service libs/rules libs/rulebook libs/oracle libs/platform libs/mapping libs/reference libs/lakehouse \
            services/producer services/enricher services/spark-detector services/notifier \
            services/snowflake-loader cli
SOURCES := $(addsuffix /src,$(PACKAGES))
INSTALLED := $(VENV)/.installed
HANDBOOK ?= ../shared/data/handbook
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo demo-handbook test check wheels lock clean

help: ## Print this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make demo ARGS="--duration 30s --rate 500 --report report.json" passes options on;'
	@echo '  make test ARGS="-k enricher" does as well.'

install: $(INSTALLED) ## Make .venv with everything in it; instant when nothing changed.
	@echo "$(VENV) is up to date"

$(INSTALLED): requirements/requirements.txt scripts/install $(addsuffix /pyproject.toml,$(PACKAGES))
	@scripts/install $(VENV) $(PACKAGES)
	@touch $@

demo: $(INSTALLED) ## Run the whole line on this machine for a minute and check its result.
	@$(BIN)/cardwatch demo $(ARGS)

demo-handbook: $(INSTALLED) ## Replay the Fraud Detection Handbook's transactions (HANDBOOK=directory) at full speed.
	@$(BIN)/cardwatch demo --replay "$$(ls $(HANDBOOK)/*.parquet | head -n 1)" --mapping config/mappings/handbook.yaml \
	    --rules config/rules/handbook.yaml $(ARGS)

test: $(INSTALLED) ## All tests: unit, integration and end to end, on a real broker, registry and Spark.
	@$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED) ## Lint, formatting, types and import rules.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports --no-cache

wheels: $(INSTALLED) ## Wheels of the detector and the libraries it needs, and one of all for Databricks, into dist/.
	@$(BIN)/python scripts/wheels

lock: ## Pin requirements/requirements.in anew, versions and checksums, into requirements/requirements.txt.
	@scripts/lock

clean: ## Remove what runs and checks leave behind; .venv and downloads stay.
	rm -rf .cardwatch/demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache artifacts
	find libs services cli tests -name __pycache__ -type d -prune -exec rm -rf {} +
