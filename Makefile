# Every target works from a fresh clone: what it needs is installed first.
# CI calls the same targets (.ci/run), so a green `make check test` here is a green one there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_DIR := tests/interop
SHOP_NODE := examples/shop/node
# More arguments for pytest: make test ARGS="-k shutdown -x"
ARGS ?=
# Newer versions within the bounds of pyproject.toml: make lock UPGRADE=--upgrade
UPGRADE ?=
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help install node check test demo shop-node bench wheel lock clean
.DELETE_ON_ERROR:

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.project ## create .venv with the locked dependencies and bullq itself

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "bullq needs Python 3.11 or newer, and '$(PYTHON)' is not. Name one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; \
	  exit 2; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "Python could not create $(VENV). On Debian and Ubuntu: apt-get install python3-venv" >&2; \
	  rm -rf $(VENV); exit 2; }

$(VENV)/.locked: requirements/dev.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The back end comes from the lock, so that this step downloads nothing.
$(VENV)/.project: pyproject.toml $(VENV)/.locked
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

# Node clients for the interop tests, and what compiles the example's Node side.
node: $(NODE_DIR)/node_modules/.installed $(SHOP_NODE)/node_modules/.installed ## install the Node packages of tests and example

%/node_modules/.installed: %/package.json %/package-lock.json
	@command -v npm >/dev/null || { \
	  echo "The Node packages need Node 18 or newer with npm. On Debian and Ubuntu: apt-get install nodejs npm" >&2; \
	  exit 2; }
	npm ci --prefix $* --no-fund --no-audit
	@touch $@

check: install ## format, lint, types, layers, compose.yaml and the quick tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/python -m pytest -q -m "not slow" tests/unit tests/gate

test: install node ## every test, on real servers and with real Node clients
	$(BIN)/python -m tests.together $(ARGS)

demo: install ## run the example shop: a few hundred jobs on three queues, then a table
	$(BIN)/python -m examples.shop.demo

shop-node: install $(SHOP_NODE)/node_modules/.installed ## run the shop with its Node side: each dispatches what the other runs
	npm run --silent --prefix $(SHOP_NODE) build
	$(BIN)/python -m examples.shop.demo.with_node

bench: install ## the benchmarks; benchmarks/README.md says how they measure
	$(BIN)/python -m benchmarks $(ARGS)

wheel: install ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir dist .

$(BIN)/uv: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# runtime.lock: what the image installs. build.lock: what makes a wheel. dev.lock: both, and the tools.
# The later ones are constrained by the earlier, so that tests run on what ships.
lock: $(BIN)/uv ## pin the dependencies of pyproject.toml anew, hashes only, no index named
	$(LOCK) pyproject.toml --output-file requirements/runtime.lock
	$(LOCK) requirements/build.in --output-file requirements/build.lock
	$(LOCK) pyproject.toml requirements/build.in --group dev --constraint requirements/runtime.lock \
	  --constraint requirements/build.lock --output-file requirements/dev.lock
	@! grep -nE 'https?://|file:|index-url|find-links' requirements/*.lock

clean: ## remove what the other targets made, data of the embedded server included
	rm -rf $(VENV) $(NODE_DIR)/node_modules $(SHOP_NODE)/node_modules $(SHOP_NODE)/dist dist build .bullq
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
