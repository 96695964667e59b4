# Two commands: `make study` runs the main job, `make test` checks everything.
# Both set up .venv by themselves; all they need is Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin

study: .venv/installed
	$(BIN)/alphadx study quick

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto

test-slow: .venv/installed
	$(BIN)/pytest -n auto -m slow

test-extras: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,extras]'
	$(BIN)/pytest -n auto tests/real tests/training tests/eval/report tests/eval/cli
	$(BIN)/pytest -n auto -m slow tests/real tests/training/data

# The lowest versions that pyproject.toml allows, whose libraries warn of each other, in an environment of their own, which takes as much disk as the other.
test-lowest: .venv/lowest/installed
	OMP_NUM_THREADS=1 .venv/lowest/bin/python -m pytest -W default::DeprecationWarning tests/alignment tests/eval/records tests/eval/fit/test_refusals.py

.venv/lowest/installed: pyproject.toml .venv/installed
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --extra dev pyproject.toml --output-file .venv/lowest.txt
	$(PYTHON) -m venv .venv/lowest
	.venv/lowest/bin/python -m pip install --quiet --constraint .venv/lowest.txt --editable '.[dev]'
	touch $@

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "alphadx needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.PHONY: study test test-slow test-extras test-lowest install
