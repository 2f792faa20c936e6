# Every target works on a fresh machine that has Python >= 3.11, make and git.
#   PYTHON=python3.12   the Python to use instead of the newest one found
#   VENV=.venv-3.12     where its environment lives
#   LOWEST=1            make test: the lowest version of every direct dependency, in a VENV of its own
#   SERVE=1             make demo: leave the service running; make docs: serve the pages
#   ARGS="-k boundary"  make test: arguments for pytest; make bench: the benchmarks to run

VENV ?= .venv
PYTHON ?=
BIN := $(VENV)/bin
CLIENTS := .venv-clients
# FastMCP needs newer versions of what it shares with us than the lowest ones.
WITHOUT := $(if $(LOWEST),fastmcp)
ADAPTERS := $(filter-out integrations/$(WITHOUT)/%,$(wildcard integrations/*/pyproject.toml))
CONSTRAINTS := constraints$(if $(LOWEST),-lowest).txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)
# Old libraries use what is deprecated, and leave connections to the garbage collector.
LENIENT := $(addprefix -W default::,DeprecationWarning PendingDeprecationWarning ResourceWarning pytest.PytestUnraisableExceptionWarning)
PYTEST := IAM_GUARD_TEST_WITHOUT=$(WITHOUT) IAM_GUARD_TEST_CLIENTS=$(abspath $(CLIENTS)) $(BIN)/python -m pytest -n auto \
	$(if $(LOWEST),$(LENIENT))
SERVING := $(filter-out 0,$(SERVE))
export NO_MKDOCS_2_WARNING := 1
# Container images may set it: then each process compiles the package anew, and each worker of pytest all tests.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check bench docs dist mutants clean FORCE

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed ## Start the example service, call it with real clients, show every decision
	$(BIN)/python examples/documents/demo.py $(if $(SERVING),--serve)

test: $(VENV)/.installed-dev ## Run the tests but the slow and long ones; ARGS=--changed: those that a change affects
	$(PYTEST) -m "not slow and not long" $(ARGS)

test-all: $(VENV)/.installed-dev $(CLIENTS)/.installed ## Run all tests, the slow kinds too: other programs, crashes, distributions
	$(PYTEST) $(ARGS)

check: $(VENV)/.installed-dev ## Check style, types, layers, names, words and documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/duplicates.py
	$(BIN)/python -m tools.words
	$(BIN)/python docs/generate.py --check
	$(BIN)/mkdocs build --quiet --strict
	$(BIN)/python -m pytest --quiet -n auto tests/docs

# An environment of its own: two of the peers install a package called `tests`, which would hide ours.
bench: $(VENV)-bench/.installed ## Compare with other libraries, and write benchmarks/results/ (some minutes)
	$(VENV)-bench/bin/python benchmarks/run.py $(ARGS)

docs: $(VENV)/.installed-docs ## Generate the reference pages and build the site into site/
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs $(if $(SERVING),serve,build --quiet --strict)

dist: $(VENV)/.installed-dev ## Build wheels and source archives into dist/, check them, run the README's example on them
	$(INSTALL) --group dist
	$(BIN)/python -m tools.dist

# Small numbers of generated cases: a mutant that only chance would find is a case that is missing.
mutants: $(VENV)/.installed-dev ## Change the code in small ways, and list what no test detects; ARGS="policy 5": a fifth of one package
	$(INSTALL) --group mutation
	IAM_GUARD_TEST_EXPLAINED_CASES=200 $(BIN)/python -m tools.mutants $(ARGS)

clean: ## Remove everything that the other targets made, including environments
	rm -rf .venv .venv-* build dist site mutants
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find iam_guard integrations examples tests tools docs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# --- environments -------------------------------------------------------------------------------------------------

# Looked at on every run when PYTHON is given, so that an environment of another version is never taken for it.
$(BIN)/python: $(if $(PYTHON),FORCE)
	@tools/make_venv.sh $(VENV) $(PYTHON)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[server,console]'
	@touch $@

# Dependency groups need pip 25.1. The adapters come with their frameworks.
$(VENV)/.installed-dev: pyproject.toml $(CONSTRAINTS) $(ADAPTERS) | $(BIN)/python
	$(INSTALL) 'pip>=25.1'
	$(INSTALL) --editable '.[server,console]' $(ADAPTERS:%/pyproject.toml=--editable %) $(if $(LOWEST),--group test,--group dev --group docs)
	@touch $(VENV)/.installed $@

# Only what the site needs; an environment of developers has it.
$(VENV)/.installed-docs: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(if $(wildcard $(VENV)/.installed-dev),,$(INSTALL) 'pip>=25.1')
	$(if $(wildcard $(VENV)/.installed-dev),,$(INSTALL) --editable '.[server,console]' --group docs)
	@touch $@

$(VENV)-bench/.installed: pyproject.toml constraints.txt
	@tools/make_venv.sh $(VENV)-bench $(PYTHON)
	$(subst $(BIN),$(VENV)-bench/bin,$(INSTALL)) 'pip>=25.1'
	$(subst $(BIN),$(VENV)-bench/bin,$(INSTALL)) --editable '.[server]' --editable integrations/fastapi \
		--group dev --group bench
	$(subst $(BIN),$(VENV)-bench/bin,$(INSTALL)) --no-deps fastapi-authz  # asks for pycasbin by its former name, casbin
	@touch $@

# The programs that manage us in tests/clients: one environment for every VENV, since they are other processes. They are
# not compiled, for most of Ansible's 20,000 files are never read.
$(CLIENTS)/.installed: pyproject.toml constraints-clients.txt $(wildcard tests/clients/package*.json)
	@tools/make_venv.sh $(CLIENTS) $(if $(wildcard $(CLIENTS)/bin/python),,$(PYTHON))
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(CLIENTS)/bin/python -m pip install --quiet --no-compile --constraint constraints-clients.txt --group clients
	@mkdir -p $(CLIENTS)/node && cp tests/clients/package*.json $(CLIENTS)/node
	@if command -v npm >/dev/null; then npm ci --prefix $(CLIENTS)/node --ignore-scripts --no-audit --no-fund >/dev/null; fi
	@touch $@
