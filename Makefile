# Everything here needs only make and a Python of at least 3.11; the first call makes .venv and installs into it.
#
#   make demo                    train a network on real handwritten digits and draw what it learned
#   make demo DATA=DIR           the same on MNIST's IDX files in DIR
#   make demo ARGS="--help"      any options of `twinflow demo`
#   make test                    the default test suite (ARGS goes to pytest)
#   make lint, make types        ruff; mypy
#   make examples                every example in its small form
#   make bench                   the benchmark tables (ARGS goes to `python -m benchmarks`)
#   make clean                   remove .venv and caches

.DEFAULT_GOAL := help
.PHONY: help demo test lint types examples bench clean

# The first Python on the path that is new enough and can make virtual environments; PYTHON=... overrides the search.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python /usr/bin/python3; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
DATA ?=

help:
	@sed -n 's/^#   \(make\)/  \1/p' Makefile

$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "No Python of at least 3.11 with the venv module was found; install one, or say make PYTHON=/path/to/python." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# One stamp for each set of extras: installed once, and again when pyproject.toml changes.
$(VENV)/installed-%: pyproject.toml $(VENV)/created
	@echo "Installing twinflow[$*] (once; a few minutes at most) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$*]"
	@touch $@

.PRECIOUS: $(VENV)/installed-%

demo: $(VENV)/installed-demo
	@$(BIN)/twinflow demo $(if $(DATA),--data "$(DATA)") $(ARGS)

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

examples: $(VENV)/installed-dev
	$(BIN)/python examples/run_all.py --small $(ARGS)

bench: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
