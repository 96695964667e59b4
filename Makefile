# Two commands: `make study` runs the main job, `make test` checks everything. `make docs` builds the documentation and
# runs every command in it, side by side.
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
	if $(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then $(BIN)/pytest -n auto -m gpu tests/gpu; fi

test-slow: .venv/installed
	$(BIN)/pytest -n auto -m slow

test-extras: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,extras]'
	$(BIN)/python -m pip install --quiet --no-deps 'adv-lib>=0.2.8,<0.3'
	$(BIN)/pytest -n auto tests/eval/attacks tests/real tests/training tests/eval/report tests/eval/cli
	$(BIN)/pytest -n auto -m slow tests/real tests/training/data
	$(BIN)/pytest -m slow tests/eval/studies/engines

docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	$(BIN)/python docs/commands & commands=$$!; \
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html; built=$$?; \
	wait $$commands && exit $$built

test-browser: .venv/installed
	$(BIN)/pytest -m browser tests/browser

# The lowest versions that pyproject.toml allows, which warn of each other, in an environment of their own. It takes as
# much disk as the other.
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

.PHONY: study test test-slow test-extras test-browser test-lowest docs install
