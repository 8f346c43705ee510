# Everything a user or CI does. Each target sets up what it needs.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
SNAKEMAKE := $(BIN)/snakemake
# what torch's build with CUDA takes
CUDA := ^(cuda|nvidia|triton)
SMOKE := --configfile config.yaml configs/smoke.yaml
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup reproduce report test test-fast test-slurm smoke lint format docs hooks bench attack-linear lock clean

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
	@echo "make bench      measurements beside other samplers: benchmarks/RESULTS.md; half an hour"
	@echo "make attack-linear  3,000 random linear problems against a hundred decimal digits; twenty minutes"
	@echo "make report     the HTML report of the last default run"
	@echo "make lock       refresh requirements.lock from pyproject.toml"
	@echo "make clean      remove results and caches (not .venv)"

setup: $(STAMP)

$(STAMP): requirements.lock requirements-cuda.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "msat needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock --constraint requirements-cuda.lock
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

attack-linear: $(STAMP)
	$(BIN)/python -m benchmarks.attack

lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet ".[workflow,dev]"
	.venv-lock/bin/python -m pip freeze --all --exclude pip --exclude msat | sed 's/+cpu$$//' > .venv-lock/all
	{ echo "# Made by 'make lock' from pyproject.toml: every package of .[workflow,dev], pinned."; \
	  grep -Ev '$(CUDA)' .venv-lock/all; } > requirements.lock
	if grep -Eq '$(CUDA)' .venv-lock/all; then \
	  { head -n 1 requirements-cuda.lock; grep -E '$(CUDA)' .venv-lock/all; } > .venv-lock/cuda; \
	  mv .venv-lock/cuda requirements-cuda.lock; \
	else echo "requirements-cuda.lock is left as it is: torch came without CUDA"; fi
	rm -rf .venv-lock build

clean:
	find results -mindepth 1 ! -name README.md -delete
	rm -rf .snakemake .pytest_cache .mypy_cache .ruff_cache build *.egg-info
