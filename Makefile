# Everything runs in a virtual environment of this checkout; nothing but python3 (3.11+), pip and make is assumed.
PYTHON ?= python3
JOBS ?= 2
PART ?= kernels
MINUTES ?= 10
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check format lint types imports dependencies doctest bench soak clean

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "checkrow needs Python 3.11 or newer")'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/checkrow demo

test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

check: $(STAMP) format lint types imports dependencies test doctest

format: $(STAMP)
	$(BIN)/ruff format --check .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

dependencies: $(STAMP)
	$(BIN)/deptry engine kernels

doctest: $(STAMP)
	$(BIN)/python -m pytest -q --doctest-modules engine kernels

bench: $(STAMP)
	$(BIN)/python -m benchmarks --suite relational --scale full

soak: $(STAMP)
	$(BIN)/python -m tests.soak --part $(PART) --minutes $(MINUTES)

clean:
	rm -rf $(VENV) demo build dist
