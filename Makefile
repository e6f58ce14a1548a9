# Two commands on a fresh machine: `make demo` and `make test`. Everything goes into .venv, .takeover and the user's cache.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Without bytecode every start of Python compiles torch and transformers anew: three times slower.
unexport PYTHONDONTWRITEBYTECODE
# This project's environment is .venv, whatever environment the caller is in.
unexport VIRTUAL_ENV

# uv from PATH, else a private one: it is not on a fresh machine, python3 -m venv is.
UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
SYNC := $(UV) sync --frozen --inexact --quiet
TAKEOVER := .venv/bin/takeover
PYTHON := .venv/bin/python

ADAPTER := adapters/support-tone
QUESTION := My parcel has not arrived and I am getting worried. What should I do?

.PHONY: help setup setup-test demo test test-cluster test-cluster-if-built lint down bench conformance docs clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.uv/bin/uv:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed, python3 is $$(python3 -V)"; exit 2; }
	python3 -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# The base first (seconds): it brings the command that gets the engine, which may take minutes; torch comes meanwhile.
setup: $(UV) ## install the packages and the Pulumi engine, side by side
	@$(SYNC)
	@$(TAKEOVER) engine install & engine=$$!; \
	echo "Installing the packages for training and serving (about 6 GB with torch) ..."; \
	$(SYNC) --group train --extra signing; \
	wait $$engine || echo "No Pulumi engine could be had; 'make demo' goes on without one."

setup-test: setup
	@$(SYNC) --group train --group dev --group clouds --extra signing

demo: setup ## train, deploy by Pulumi, ask: the main job, from nothing
	@QUESTION="$(QUESTION)" ADAPTER=$(ADAPTER) bash examples/demo.sh

test: setup-test lint ## set up and run every check and test
	$(PYTHON) -m pytest -n 2 --dist loadfile -m "not cluster"

CLUSTER := $(PYTHON) tests/cluster/cluster_binaries.py
CLUSTER_TESTS := TAKEOVER_CLUSTER=1 $(PYTHON) -m pytest -m cluster tests/cluster

test-cluster: setup-test ## build a real Kubernetes control plane (10 minutes, once) and run the tests on it
	$(CLUSTER)
	$(CLUSTER_TESTS)

# For CI, whose time is short: on a machine that has it.
test-cluster-if-built:
	@if $(CLUSTER) --is-built; then $(CLUSTER_TESTS); else \
	echo "Left out: the tests on a control plane. It is not built on this machine; 'make test-cluster' builds it."; fi

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

down: ## take the dev stack down; leaves no process
	@bash examples/down.sh

bench: setup-test ## measure against plain TRL, transformers, openai and an empty Pulumi program
	@$(PYTHON) -m benchmarks

conformance: setup-test ## run the conformance suite and write docs/conformance.json and the pages
	CONFORMANCE_JSON=docs/conformance.json $(PYTHON) -m pytest -n 2 tests/conformance
	@$(PYTHON) docs/generate.py write

docs: setup-test ## write what is generated from the code
	@$(PYTHON) docs/generate.py write

clean: ## remove what make made here (not the caches in your home, not .takeover with its state)
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
