# make setup | demo | test | test-long | test-all | bench | fuzz | lint | format | lock
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test test-long test-all bench fuzz lint format lock clean

PREPARED := .cache/prepared

setup: $(VENV)/.installed $(PREPARED) $(BIN)/modeldrop

# Dependency groups need pip 25.1 or newer.
PIP := pip==26.3

$(VENV)/.installed: requirements-functions.txt requirements-cli.txt requirements-local.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Modeldrop needs Python 3.11 or newer: make setup PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-functions.txt -r requirements-cli.txt -r requirements-local.txt --group dev -c constraints.txt
	touch $@

# The command of this source, for an activated environment. An installed package would hide its modules from the functions.
$(BIN)/modeldrop: $(VENV)/.installed Makefile
	printf '#!/bin/sh\nexec "%s" -P -c "%s" "$$@"\n' "$(CURDIR)/$(BIN)/python" \
		"import sys; sys.path.insert(0, '$(CURDIR)'); from modeldrop.__main__ import main; main(prog_name='modeldrop')" > $@
	chmod +x $@

# What the tests need and what takes long to make: Google's GoogleSQL parser, compiled, and SavedModels.
$(PREPARED): $(VENV)/.installed tests/prepared.py tests/contract/googlesql.py tests/e2e/saved_models.py
	$(BIN)/python -m tests.prepared
	touch $@

demo: $(VENV)/.installed $(BIN)/modeldrop
	$(BIN)/python -m demo

# The tests run in several processes, since many of them wait. A last step checks the exchanges that all of them recorded.
EXCHANGES := $(CURDIR)/.cache/exchanges
CONTRACT := tests/contract/test_recorded_exchanges.py
WORKERS ?= 3
RUN_TESTS = MODELDROP_EXCHANGES=$(EXCHANGES) $(BIN)/python -m pytest

IN_PROCESSES = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore $(CONTRACT)

test: setup
	rm -rf $(EXCHANGES)
	$(RUN_TESTS) $(IN_PROCESSES) -m "not matrix and not long"
	$(RUN_TESTS) $(CONTRACT)

test-long: setup
	rm -rf $(EXCHANGES)
	$(RUN_TESTS) $(IN_PROCESSES) -m "long and not matrix"
	$(RUN_TESTS) $(CONTRACT)

test-all: setup
	rm -rf $(EXCHANGES)
	HYPOTHESIS_PROFILE=long $(RUN_TESTS) $(IN_PROCESSES)
	$(RUN_TESTS) $(CONTRACT)

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

fuzz: setup
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=long

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What deployed functions get, with hashes, after a change of requirements-functions.txt or constraints.txt.
lock: $(VENV)/.installed
	$(BIN)/python -m deploy.packages

clean:
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache
