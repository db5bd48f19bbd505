# make bench   score every technique on the quick tier and print the table
# make test    lint, types and tests
# Both make .venv and install what they need the first time.

PYTHON ?= python3
VENV ?= .venv
# One worker a core; more than four would need more memory than the quick tier may take.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); echo $$(( n < 4 ? n : 4 )))
FETCH ?= smollm2-135m
BENCH_ARGS ?=
REPRODUCE_ARGS ?=
TEST_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Two threads a process beside another busy process are up to 100 times slower than one.
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help bench standard reproduce leaderboard test lint format clean

help:
	@echo "make bench        score every technique on the quick tier and print the table"
	@echo "make standard     the same on the standard tier (hours), then make reproduce"
	@echo "make reproduce    measure published orderings and write docs/reproduction.md"
	@echo "make leaderboard  write leaderboard/ from the last run"
	@echo "make test         lint, types and tests"
	@echo "make lint         lint and types only"
	@echo "make format       format the code"
	@echo "make clean        remove caches and build output; .venv and the store stay"

bench: $(VENV)/.installed
	@$(BIN)/interp-bench fetch $(FETCH) || \
	  echo "make: going on without $(FETCH); its trials are skipped, with the reason"
	@$(BIN)/python -m pytest --bench -n $(WORKERS) $(BENCH_ARGS)

standard:
	@$(MAKE) --no-print-directory bench BENCH_ARGS="--bench-tier standard $(BENCH_ARGS)"
	@$(MAKE) --no-print-directory reproduce

reproduce: $(VENV)/.installed
	@$(BIN)/python -m benchmarks.reproduce --jobs $(WORKERS) --write docs/reproduction.md $(REPRODUCE_ARGS)

leaderboard: $(VENV)/.installed
	@$(BIN)/interp-bench export --run-id last
	@$(BIN)/interp-bench leaderboard
	@$(BIN)/interp-bench gallery

test: lint
	@$(BIN)/python -m pytest -rs -n $(WORKERS) $(TEST_ARGS)

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format .

clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Python 3.11 or newer is needed; name one with: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing interp_bench into $(VENV) (the first time this takes minutes and about 6 GB)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "installing interp_bench and its tools into $(VENV) (the first time this takes minutes and about 6 GB)"
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.installed
