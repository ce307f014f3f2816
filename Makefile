# make train and make test each set up all they need; make install is the part they share.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: train test test-all lint docs check format install dist results clean

train: install
	$(BIN)/bothways train mnist

test: install
	$(BIN)/python -m pytest --numprocesses 2

test-all: install
	$(BIN)/python -m pytest --numprocesses 2 -m "slow or not slow"

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The site, in docs/build/html/index.html. A broken reference is an error.
docs: install
	$(BIN)/python -m sphinx --quiet --nitpicky --fail-on-warning --keep-going docs docs/build/html

check: lint docs test

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

results: install
	$(BIN)/python benchmarks/results.py

# The archives of a release, in dist/. .ci/release installs and tries them.
dist: install
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

install: $(INSTALLED)

# constraints.txt pins what was tested.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv
