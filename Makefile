# make run: install the dependencies into .venv and serve, with Postgres and Redis in ./chatd-data.
# make test: run the tests of chatd.    make quick: those that need no servers.    make check: run what CI runs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Worker processes of the tests, each with its own Postgres and Redis. Two per core: they wait a part of the time.
JOBS ?= 4
# Keep bytecode: the tests start some hundred processes, and each would compile its imports.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test comparisons quick coverage soak conformance bench bench-quick peers check lint types layers lock schema web clean

run: $(VENV)/.runtime
	@exec $(BIN)/chatd serve

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --ignore tests/comparisons

# The tests of bench/, which start servers by the dozen: two at a time, one for each core.
comparisons: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/comparisons

quick: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not servers" $(QUICK)
QUICK := $(filter-out tests/abuse tests/cluster tests/comparisons tests/faults tests/interop tests/property tests/soak tests/web,$(wildcard tests/[a-z]*[a-z]))

# Break nodes, Postgres, Redis and the network under load for minutes, and check the log of every client.
soak: $(VENV)/.dev
	$(BIN)/python -m tests.cluster.soak

# The WebSocket conformance suite of Autobahn, which needs a Python 2.7: make conformance PYTHON2=/path/to/python2.7
conformance: $(VENV)/.dev
	$(BIN)/python -m tests.conformance.autobahn --python2 $(PYTHON2)
PYTHON2 ?= python2.7

# Compare chatd with other servers, in half an hour, and write bench/RESULTS.md.
bench: $(VENV)/.dev
	$(BIN)/python -m bench.all $(BENCH)

# Compare it with one in two minutes, and fail if it uses far more CPU than usual.
bench-quick: $(VENV)/.dev
	$(BIN)/python -m bench.quick

# The packages of the servers that bench/ compares with.
peers: $(VENV)/.dev
	$(BIN)/python -m bench.packages

# COVER selects tests: make coverage COVER=tests/wire
coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n $(JOBS) --dist worksteal $(COVER)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: lint types layers test

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

# Regenerate docs/protocol.md, docs/openapi.json, docs/chatd.d.ts, the tables in other documents
# (chatd/app/documents.py), the types of both clients, and chatd.toml.
schema: $(VENV)/.dev
	$(BIN)/chatd schema --write docs --client chatd/client/types.py --web web/client/src/routes.ts
	cp docs/chatd.d.ts chatd/web/static/types/protocol.d.ts
	$(BIN)/python -c "from chatd.core.template import template; from chatd.subsystems import setting_names; print(template(setting_names(), {}), end='')" > chatd.toml

# The JavaScript client and the demo page: their packages, and what the daemon serves of them.
WEB := web/client
web: $(WEB)/node_modules/.package-lock.json
	node $(WEB)/build.mjs chatd/web/static
	node web/demo/build.mjs chatd/web/static/demo --check

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	cd $(WEB) && npm ci --silent
	@touch $@

# Pin versions and hashes for every platform, without download addresses.
lock: $(VENV)/.dev
	$(BIN)/uv pip compile $(LOCK) pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile $(LOCK) --group build -c requirements.lock -o requirements-build.lock
	$(BIN)/uv pip compile $(LOCK) --group dev pyproject.toml -c requirements.lock -c requirements-build.lock -o requirements-dev.lock
	$(BIN)/uv pip compile $(LOCK) --group peers -c requirements-dev.lock -o requirements-peers.lock
LOCK := --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --python-version 3.11

# The build tools are in a separate folder, which chatd cannot import from when it runs.
BUILD := $(VENV)/build
INSTALL := PYTHONPATH=$(BUILD) $(PIP) install --no-deps --no-build-isolation -e .

$(BUILD): requirements-build.lock | $(BIN)/python
	rm -rf $@
	$(PIP) install --require-hashes --target $@ -r requirements-build.lock

$(VENV)/.runtime: requirements.lock pyproject.toml $(BUILD)
	$(PIP) install --require-hashes -r requirements.lock
	$(INSTALL)
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml $(BUILD)
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(INSTALL)
	@touch $@ $(VENV)/.runtime

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "chatd needs Python 3.11 or newer; name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "There is no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
