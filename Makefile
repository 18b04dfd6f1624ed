# Every target works from a fresh clone: the environment is created first and reused afterwards.
PYTHON ?= python3
VENV   ?= .venv
DATA   ?= $(or $(STUDIO_DATA),$(wildcard ../shared/data))
OUT    ?= out
TESTS  ?=

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

SETUP   := $(PYTHON) -I studio/setup_env.py --venv $(VENV)
# Two test processes beat one process with two threads; more than four only cost memory.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -gt 4 ] && n=4; echo $$n)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo studio test check format bench accept clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 12

setup: ## create the environment (every other target does so by itself)
	@$(SETUP)

setup-dev:
	@$(SETUP) --extra dev

demo: setup ## render the sample batch with the starter weights into out/demo
	@$(BIN)/python -m studio.demo --out $(OUT)/demo

studio: setup ## open the page in a browser
	@$(BIN)/studio ui

test: setup-dev ## run the test suite
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

check: setup-dev ## lint, format, types, layering
	@status=0; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/ruff format --check . || status=1; \
	$(BIN)/pyright || status=1; \
	$(BIN)/python -m pytest -q tests/contract/test_layering.py || status=1; \
	exit $$status

format: setup-dev ## rewrite the code as the linter wants it
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup-dev ## time the networks at their published size against a plain float32 forward
	@$(BIN)/python -m tests.benchmarks --out $(OUT)/bench.json

accept: setup-dev ## measure every acceptance line that a command can measure (DATA=folder of data sets)
	@$(BIN)/python -m tests.acceptance --out $(OUT)/accept.json $(if $(DATA),--data "$(DATA)")

clean: ## remove the environment and everything that was rendered
	rm -rf $(VENV) $(OUT) build dist .pytest_cache .ruff_cache
