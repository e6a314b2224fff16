# make study: the default study, from nothing.   make test: lint and tests.
# Both set up what is missing: a virtual environment with exactly the pinned packages.

PYTHON ?= python3
CORES ?= 2
# One worker more than cores: some tests wait, for Slurm or for a kill, while others compute.
WORKERS ?= $(shell expr $(CORES) + 1)
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
READY := $(VENV)/ready

STUDY ?= config.yaml

.PHONY: study explain audit test lint tests heavy bench lock clean

study: $(READY)
	$(BIN)/snakemake --cores $(CORES) --configfile $(STUDY)

# What a run would make again, and why.   make explain STUDY=workflow/studies/cifar10-smoke.yaml
explain: $(READY)
	$(BIN)/python -m thin_ice explain --study $(STUDY) || [ $$? -eq 1 ]

# Whether the results are what their records say, down to the dataset and the code.
audit: $(READY)
	$(BIN)/python -m thin_ice audit --study $(STUDY)

test: lint tests

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/python tests/lint_workflow.py

tests: $(READY)
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not heavy"

# Tests that take minutes each; not part of make test.
heavy: $(READY)
	$(BIN)/python -m pytest -q -m heavy

# Every target of speed and what is reached; twenty minutes. BENCH="--only training --json FILE"
bench: $(READY)
	$(BIN)/python tests/benchmarks/bench.py --json results/bench/bench.json $(BENCH)

# torch first and pinned: left to another package, pip would take a newer build with its CUDA parts.
$(READY): envs/requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Thin Ice needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -r envs/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

lock: $(READY)
	$(BIN)/python -m pip install --quiet --upgrade -r envs/requirements.in
	@echo "# The lock of envs/requirements.in, made by \`make lock\`; torch is pinned in the Makefile." > envs/requirements.txt
	$(BIN)/python -m pip freeze --all --exclude-editable | grep -vE '^(torch|pip|wheel)==' >> envs/requirements.txt
	$(BIN)/python envs/make_environments.py

clean:
	rm -rf $(VENV) .snakemake
