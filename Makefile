# `make` lists what there is. On a bare machine Python 3.11, make and git are enough: the rest is fetched, pinned by hash.

.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
SEED ?= 1
ARGS ?=
JOBS ?= 2
export PYTHONDONTWRITEBYTECODE := 1

# Rooms, checks and examples that are type-checked and linted.
CODE := src tests scripts examples benchmarks
TYPED := src scripts examples

.PHONY: help env demo test lint types fmt imports unit sim crash browser bench bench-scale pictures docs diagram lock clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "; print "Usage: make TARGET\n"} /^[a-z]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: .venv/.synced ## Make .venv ready (every other target does it by itself)

.venv/.synced: constraints/dev.txt constraints/tools.txt pyproject.toml scripts/env.sh
	@PYTHON='$(PYTHON)' sh scripts/env.sh

demo: env ## Send real files through the real workflows and show each step
	@$(BIN)/python scripts/demo.py $(ARGS)

test: lint types imports unit ## Everything CI runs: lint, types, import contracts, tests

lint: env ## Check style and format
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: env ## Check types, strictly
	$(BIN)/mypy $(TYPED)

imports: env ## Check who imports whom
	$(BIN)/lint-imports --no-cache

unit: env ## Run the tests (ARGS="-k name" for some)
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(ARGS)

fmt: env ## Put the code in order
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

sim: env ## Replay a simulated cluster: make sim SEED=42
	$(BIN)/python -m orpheus.testing.simulation --seed $(SEED) $(ARGS)

crash: env ## Kill the real server and real workers under load for a minute, and count
	ORPHEUS_TEST_UNDER_FIRE_S=60 $(BIN)/pytest tests/crash -p no:randomly $(ARGS)

browser: env ## Test the pages in a real browser
	$(BIN)/pytest tests/browser $(ARGS)

bench: env ## Measure us, beside peers where ../shared/peers is (ARGS="huey dbos celery raw_sqlite --repeat 3")
	@if [ -f ../shared/peers/run.py ]; then \
		$(BIN)/python ../shared/peers/run.py $(or $(ARGS),huey raw_sqlite --repeat 3) --own benchmarks/peer_orpheus.py --own-python $(BIN)/python; \
	else $(BIN)/python benchmarks/alone.py; fi
	$(BIN)/python benchmarks/http_submit.py

bench-scale: env ## Rates, lists, start-up and memory with a million queued and five million finished jobs (ARGS="--finished 100000")
	$(BIN)/python benchmarks/scale.py $(ARGS)
	$(BIN)/python benchmarks/crowd.py
	$(BIN)/python benchmarks/growth.py

pictures: env ## Take the pictures of docs/dashboard.md anew, from real jobs
	$(BIN)/python scripts/screenshots.py docs/pictures --docs $(ARGS)

docs: env ## Run the snippets of the docs and check that nothing is undescribed
	$(BIN)/pytest tests/docs $(ARGS)

diagram: env ## Draw the state diagrams from the transition tables
	$(BIN)/python scripts/diagram.py $(ARGS)

lock: env ## Pin the packages anew (ARGS="fastapi" moves one)
	@UV=$$(command -v uv || echo .tools/bin/uv) sh scripts/lock.sh $(ARGS)

clean: ## Remove what the targets made, except .venv
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo-files demo-out build dist
