# `make run` shows five live venues, `make test` checks everything. `make help` lists the rest.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
FUZZ_FRAMES ?= 1000000

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run stop live install test check format-check lint types test-fast test-slow coverage format bench fuzz lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

run: $(STAMP) ## five simulated venues, live, and a table of their ages
	$(BIN)/paraphina up --sim

live: $(STAMP) ## the same against the real venues
	$(BIN)/paraphina up

stop: $(STAMP) ## end every process that `make run` or `make live` started
	$(BIN)/paraphina down

install: $(STAMP) ## the virtual environment, with the locked versions

# Installs when what is to be installed changed, so a second `make run` starts at once.
$(STAMP): requirements.lock setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with PYTHON=..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --requirement requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# The first of the two computes and the second mostly waits for processes, so side by side they take little more than one.
test: format-check lint types ## everything CI runs
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target coverage test-slow

check: format-check lint types test-fast ## the fast part of `make test`: no real processes, no coverage

format-check: $(STAMP)
	$(BIN)/ruff format --check .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

test-fast: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow"

# Processes under coverage start slower than the product does, so tests that time real ones run without it.
test-slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m "not slow"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

format: $(STAMP) ## rewrite files to the house format and mend what can be mended
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

# Neighbours are installed for measuring only; one of them is compiled here.
$(VENV)/.bench: requirements-bench.lock $(STAMP)
	$(PIP) install --requirement requirements-bench.lock
	@touch $@

bench: $(VENV)/.bench ## measure, side by side with neighbours
	$(BIN)/python -m benchmarks

fuzz: $(STAMP) ## FUZZ_FRAMES mutated frames a venue
	PARAPHINA_FUZZ_FRAMES=$(FUZZ_FRAMES) $(BIN)/python -m pytest -q -rP -m fuzz -o faulthandler_timeout=0

# A throw-away environment: the tool that writes the locks is not itself part of them.
LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(VENV)-lock/bin/pip-compile --quiet --upgrade --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

lock: ## choose newest versions that setup.cfg allows and write them down
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet pip-tools
	$(LOCK) --extra simulator --extra report --extra dev --output-file requirements.lock setup.cfg
	$(LOCK) --extra bench --constraint requirements.lock --output-file requirements-bench.lock setup.cfg
	rm -rf $(VENV)-lock

clean: ## remove what tools and builds made; run/ and the environment stay
	rm -rf build dist htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
