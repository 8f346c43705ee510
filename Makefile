# Everything a user or CI does. Each target sets up what it needs.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
SNAKEMAKE := $(BIN)/snakemake
SMOKE := --configfile config.yaml configs/smoke.yaml
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup reproduce report test test-fast test-slurm smoke lint format docs hooks bench lock clean

help:
	@echo "make reproduce  set up, run the default config: tables, checks, figures, report; verify every file"
	@echo "make test       set up, run the whole test suite"
	@echo "make test-fast  the tests that take seconds, little more than a minute in all"
	@echo "make test-slurm the workflow on a SLURM cluster on this machine, with faults (root; skipped where there is none)"
	@echo "make smoke      the pipeline at small sizes, with its report"
	@echo "make lint       ruff, mypy, import contracts, snakefmt, snakemake --lint"
	@echo "make format     what ruff and snakefmt correct by themselves"
	@echo "make docs       the generated tables of docs/formats.md and the config schema"
	@echo "make hooks      ruff, snakefmt and mypy before every commit (pre-commit)"
	@echo "make bench      measurements beside other samplers: benchmarks/RESULTS.md; twenty minutes"
	@echo "make report     the HTML report of the last default run"
	@echo "make lock       refresh requirements.lock from pyproject.toml"
	@echo "make clean      remove results and caches (not .venv)"

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "msat needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $(STAMP)

# without MNIST the run leaves out its experiments and says so
reproduce: $(STAMP)
	@$(SNAKEMAKE) mnist --quiet all > /dev/null 2>&1 || tail -n 1 results/logs/mnist.log || true
	$(SNAKEMAKE)
	@$(BIN)/msat verify results
	@$(SNAKEMAKE) --report results/report.html > results/logs/report.log 2>&1 || { cat results/logs/report.log; exit 1; }
	@cat results/checks.txt
	@echo "figures: results/figures   tables: results/tables   report: results/report.html"

report: $(STAMP)
	$(SNAKEMAKE) --report results/report.html

test: $(STAMP)
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slurm"

test-fast: $(STAMP)
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slow and not workflow and not slurm"

test-slurm: $(STAMP)
	$(BIN)/pytest -m slurm tests/slurm

smoke: $(STAMP)
	$(SNAKEMAKE) $(SMOKE)
	@$(BIN)/msat verify results/smoke --configfile config.yaml --configfile configs/smoke.yaml
	$(SNAKEMAKE) $(SMOKE) --report results/smoke/report.html
	@cat results/smoke/checks.txt

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/snakefmt --check .
	$(SNAKEMAKE) --lint

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt .

docs: $(STAMP)
	$(BIN)/python docs/tables.py docs/formats.md
	$(BIN)/msat schema --out workflow/schemas/config.schema.json

hooks: $(STAMP)
	$(BIN)/pre-commit install

bench: $(STAMP)
	$(BIN)/python -m benchmarks

lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet ".[workflow,dev]"
	{ echo "# Made by 'make lock' from pyproject.toml: every package of .[workflow,dev], pinned."; \
	  .venv-lock/bin/python -m pip freeze --exclude msat | sed 's/+cpu$$//'; } > requirements.lock
	rm -rf .venv-lock build

clean:
	find results -mindepth 1 ! -name README.md -delete
	rm -rf .snakemake .pytest_cache .mypy_cache .ruff_cache build *.egg-info
