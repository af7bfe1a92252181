# Kubehaven: one command for each thing. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= /usr/bin/python3
VENV ?= .venv
PY = $(VENV)/bin/python
DEMO_ARGS ?=
ARCHITECTURE ?= amd64

.DEFAULT_GOAL := help
.PHONY: help setup demo run test test-long test-cluster cluster-up cluster-down check lock bench bench-engine bench-application image screenshots clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/ok: requirements-dev.lock pyproject.toml packaging/setup.sh packaging/apt.txt
	@PYTHON="$(PYTHON)" VENV="$(VENV)" packaging/setup.sh

setup: $(VENV)/ok  ## system packages and the virtual environment (done by the others on demand)

demo: $(VENV)/ok  ## play the story: back an application up, lose it, restore it
	@$(PY) -m console demo $(DEMO_ARGS)

run: $(VENV)/ok  ## open the desktop
	@$(PY) -m console

test: $(VENV)/ok  ## the tests (up to 6 minutes)
	@s=$$(date +%s); r=0; $(PY) -m pytest -n 2 -m "not long and not cluster" || r=$$?; echo "make test took $$(( $$(date +%s) - s )) s"; exit $$r

test-long: $(VENV)/ok  ## kill and flip matrices, big trees (up to 40 minutes)
	@s=$$(date +%s); r=0; $(PY) -m pytest -m "long and not cluster" --timeout 1200 || r=$$?; echo "make test-long took $$(( $$(date +%s) - s )) s"; exit $$r

test-cluster: $(VENV)/ok  ## on two real Kubernetes clusters, or on the one of KUBECONFIG (root, Go)
	@packaging/setup-bed.sh
	@s=$$(date +%s); r=0; $(PY) -m pytest -m cluster tests/cluster || r=$$?; echo "make test-cluster took $$(( $$(date +%s) - s )) s"; exit $$r

N ?= 1
cluster-up: $(VENV)/ok  ## start N real clusters (root, Go): make cluster-up N=2
	@packaging/setup-bed.sh
	@$(PY) -m tests.cluster.bed up $(N)

cluster-down: $(VENV)/ok  ## stop them and remove all that is left of them
	@$(PY) -m tests.cluster.bed down

check: $(VENV)/ok  ## format, lint, types, import rules
	@$(VENV)/bin/ruff format --check -q .
	@$(VENV)/bin/ruff check -q .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache --no-logo >/tmp/kubehaven-imports.$$$$ 2>&1 || { cat /tmp/kubehaven-imports.$$$$; rm -f /tmp/kubehaven-imports.$$$$; exit 1; }; rm -f /tmp/kubehaven-imports.$$$$

lock: $(VENV)/ok  ## resolve the dependencies anew into requirements-dev.lock
	$(VENV)/bin/uv pip compile pyproject.toml --extra desktop --group dev --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade -q -o requirements-dev.lock

bench: $(VENV)/ok  ## the mover's figures beside restic's
	@$(PY) -m benchmarks.mover

bench-engine: $(VENV)/ok  ## many small objects beside Velero, on the cluster of KUBECONFIG
	@$(PY) -m benchmarks.engine

bench-application: $(VENV)/ok  ## where the seconds of one application's backup and restores go (APPLICATION=, LOCATION=)
	@$(PY) -m benchmarks.application

image: $(VENV)/ok  ## the image of engine and workers as an archive in dist/ (ARCHITECTURE=amd64|arm64)
	@mkdir -p dist; PATH="$(abspath $(VENV))/bin:$$PATH" PYTHONPATH=packaging/container $(PY) -m kubehaven_image \
	  --architecture $(ARCHITECTURE) --archive dist/kubehaven-$(ARCHITECTURE).tar

screenshots: $(VENV)/ok  ## draw every page in both themes into docs/screenshots
	@QT_QPA_PLATFORM=offscreen $(PY) -m tests.ui.screenshots docs/screenshots

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
