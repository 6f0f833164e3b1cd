# Every target sets up what it needs in .venv; only Python >= 3.11 has to be there.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
DEMO ?= demo
ARGS ?=

.PHONY: demo test lint bench docs clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo    the whole journey in small, offline; ends with the path of a report to open'
	@echo 'make test    the tests'
	@echo 'make lint    style and types'
	@echo 'make bench   speed and memory as ratios against the obvious alternative'
	@echo 'make docs    the documentation as a web site in build/docs'

demo: .venv/.demo
	$(BIN)/ecgqa demo --dest $(DEMO) $(ARGS)

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: .venv/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

bench: .venv/.dev
	$(BIN)/python benchmarks/run_all.py $(ARGS)

docs: .venv/.docs
	$(BIN)/mkdocs build --strict --site-dir build/docs

clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info

.venv/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo 'error: Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python3' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/.demo: .venv/pyvenv.cfg pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,plot]'
	@touch $@

.venv/.dev: .venv/.demo
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

.venv/.docs: .venv/.demo
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@
