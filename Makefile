# Both start from a bare clone with Python 3.11 or newer, make and Linux x86-64:
#   make demo   sets everything up and runs the main job     (ARGS=--once ends clean)
#   make test   sets everything up and passes every test

PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --constraint requirements.lock
EXTRAS := training,parquet,service,local
STAMP_UV := $(VENV)/.uv-is-installed
STAMP_DEMO := $(VENV)/.demo-is-installed
STAMP_TEST := $(VENV)/.test-is-installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint unit e2e package lock bench oracles clean

help: ## Show the targets
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1|/' \
		| awk -F'|' '{ printf "  make %-9s %s\n", $$1, $$2 }'

setup: $(STAMP_TEST) ## Install everything for development into .venv/

demo: $(STAMP_DEMO) package ## Train, register, serve and swap a model on real flights (ARGS=--once ends clean)
	$(BIN)/python examples/flights/demo.py $(ARGS)

test: lint unit e2e ## Check style and types, and run every test

lint: $(STAMP_TEST) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One thread for each of the two workers: more threads than cores only wait for each other.
unit: $(STAMP_TEST) ## Run the tests that need no stack
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --ignore tests/e2e

e2e: $(STAMP_TEST) package ## Run the tests against a stack of their own
	OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/e2e

package: $(STAMP_DEMO) ## Build build/package/: the template and the functions' zip
	@$(BIN)/python -m infra.package

lock: $(STAMP_UV) ## Resolve requirements.lock anew, and requirements.txt from it
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --all-extras --group dev --group bench --output-file requirements.lock pyproject.toml
	$(BIN)/python -m infra.requirements

bench: $(STAMP_TEST) package ## Run all benchmarks and write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks $(ARGS)

oracles: $(STAMP_TEST) ## Write tests/golden/ anew, by reference implementations in environments of their own
	@for script in oracles/*.py; do echo "$$script"; $(BIN)/python "$$script" || exit 1; done

clean: ## Delete what was built (stacks under .tiltyard/ stay: tiltyard local reset)
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .chalice/deployments

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Tiltyard needs Python 3.11 or newer: install it, or name it with PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The lock's own entry for uv, hashes included, is what pip installs.
$(STAMP_UV): requirements.lock | $(BIN)/python
	sed -n '/^uv==/,/^ *# via/p' requirements.lock > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@touch $@

$(STAMP_DEMO): pyproject.toml requirements.lock | $(STAMP_UV)
	$(INSTALL) --editable '.[$(EXTRAS)]' --group demo
	@touch $@

$(STAMP_TEST): pyproject.toml requirements.lock | $(STAMP_UV)
	$(INSTALL) --editable '.[$(EXTRAS)]' --group dev --group bench
	@touch $@ $(STAMP_DEMO)
