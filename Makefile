# `make` lists the targets. Everything runs in .venv, which the first target that needs it sets up.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Index of torch wheels to look into beside pip's own, say https://download.pytorch.org/whl/cpu where there is no GPU.
TORCH_INDEX ?=
PIP := $(BIN)/pip install --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# One thread a process: the test suite runs one process per core.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow doctest examples lint format types docs bench build clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@echo "Setting up $(VENV), once, a few minutes. With torch for CPUs: 0.5 GB to download, 1.6 GB on disk. On Linux pip's own index has"
	@echo "torch for NVIDIA GPUs: 3 GB to download, over 5 GB on disk; without a GPU: make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu"
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[dev]'
	@touch $@

setup: $(STAMP) ## Create .venv with the tested set of packages; TORCH_INDEX=URL takes torch from there

demo: $(STAMP) ## Learn a latent causal model from scratch and print how well it did
	$(BIN)/pyro-lcm demo --overwrite

test: $(STAMP) ## Run the tests (doctests and examples included; under 10 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(STAMP) ## Run the slow statistical and end-to-end tests
	$(BIN)/python -m pytest -m slow -n 2 --timeout 3600

doctest: $(STAMP) ## Run the examples in docstrings and in the README
	$(BIN)/python -m pytest tests/test_doctests.py

examples: $(STAMP) ## Run every example
	$(BIN)/python -m pytest tests/test_examples.py

lint: $(STAMP) ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## Fix style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## Check types (mypy --strict)
	@rm -rf build/links && mkdir -p build/links/pyro_lcm
	@ln -s $(CURDIR)/pyro_lcm/* build/links/pyro_lcm/
	@ln -s $(CURDIR)/models $(CURDIR)/guides build/links/pyro_lcm/
	MYPYPATH=build/links $(BIN)/mypy -p pyro_lcm

docs: $(VENV)/.docs ## Build the manual into docs/_build/html
	@echo "Building the manual, two minutes or so ..."
# A build that was interrupted leaves pages and an environment that the next one would trust; -E and a fresh folder do not.
	@rm -rf docs/api docs/_build
	$(BIN)/sphinx-build -q -E -W --keep-going -b html docs docs/_build/html
	@echo "Written: docs/_build/html/index.html"

$(VENV)/.docs: $(STAMP)
	$(PIP) -e '.[docs]'
	@touch $@

bench: $(STAMP) ## Time a training step against hand-written PyTorch
	$(BIN)/python benchmarks/step.py

build: $(STAMP) ## Build the wheel and the source distribution
	$(BIN)/python -m build

clean: ## Remove what the targets made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache docs/_build docs/api
