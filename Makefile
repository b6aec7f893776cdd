# make run: serve, with everything it needs in .venv and ./chatd-data.    make test: the tests.    make check: what CI runs.
# make quick: the tests that need no servers, in less than a minute.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes for the tests, each with servers of its own. They wait as much as they work: two for each processor.
JOBS ?= 4
# Bytecode is kept: the tests start some hundred processes, and each would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: soak run test quick check lint types layers lock schema clean

run: $(VENV)/.runtime
	@exec $(BIN)/chatd serve

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

quick: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not servers" $(QUICK)
QUICK := $(addprefix tests/,domain wire gateway client node http features test_clock.py test_health.py test_log.py test_settings.py)

# Nodes, Postgres, Redis and the network between them fail under load for minutes; everybody's own log is judged.
soak: $(VENV)/.dev
	$(BIN)/python -m tests.cluster.soak

check: lint types layers test

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

# The generated files: docs/protocol.md and its neighbours, the types of the Python client, and chatd.toml.
schema: $(VENV)/.dev
	$(BIN)/chatd schema --write docs --client chatd/client/types.py
	$(BIN)/python -c "from chatd.core.template import template; print(template({}), end='')" > chatd.toml

# Versions and hashes, for every platform, and no download addresses.
lock: $(VENV)/.dev
	$(BIN)/uv pip compile $(LOCK) pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile $(LOCK) --group build -c requirements.lock -o requirements-build.lock
	$(BIN)/uv pip compile $(LOCK) --group dev pyproject.toml -c requirements.lock -c requirements-build.lock -o requirements-dev.lock
LOCK := --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --python-version 3.11

# What builds chatd is in a folder of its own, outside of what chatd can import when it runs.
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
