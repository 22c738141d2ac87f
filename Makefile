# Everything a developer runs. `make help` lists the targets; CONTRIBUTING.md says more.
#
# Needs Python 3.11 or newer, a JDK 17 or newer and Maven; the tests need Kerberos' own packages too, which are installed
# where that takes no password. Everything else goes into .venv and Maven's own repository.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Else what a failed build has written so far counts as built.
.DELETE_ON_ERROR:

# Hadoop takes some characters of its folders' names for something else, and make a space.
ifneq ($(shell printf '%s' '$(CURDIR)' | tr -d '[:alnum:]/._+@~=-'),)
$(error The checkout lies in $(CURDIR); Hadoop needs a folder with letters, digits and ._-+@~= only in its name. Move it)
endif

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# With what Kerberos takes, which the demo can do without.
KERBEROS := $(VENV)/.kerberos
# Left alone, the resolver takes the newest Prefect and an older Airflow that goes with it.
AIRFLOW := apache-airflow>=3.3
# The oldest Airflow that the provider works with.
OLDEST_AIRFLOW := 3.1
OLDEST := .venv-airflow-$(OLDEST_AIRFLOW)
# Prefect's newest release wants other versions than Airflow's does, so it has an environment of its own.
PREFECT_VENV := .venv-prefect
PREFECT_READY := $(PREFECT_VENV)/.ready
JAR := knit_provider/jars/knit.jar
JVM_SOURCES := pom.xml $(shell find jvm -type f -not -path '*/test/*' 2>/dev/null)
# Further arguments for pytest, as in: make test-hadoop ARGS="-k kill -x"
ARGS ?=

.PHONY: help setup jar lint format test test-java test-python test-unit test-hadoop test-dask test-kerberos test-airflow test-airflow-oldest test-prefect test-prefect-newest packages demo fuzz soak bench ui docs clean ui-screenshots test-tls test-ha test-secure-ha

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv with the package (editable), Airflow, Prefect and the test tools
	@echo "setup: $(VENV) is ready ($$($(BIN)/python --version), Airflow $$($(BIN)/python -c 'from importlib.metadata import version; print(version("apache-airflow"))'))"

# The stamp is written last: a set-up that was interrupted starts anew.
$(READY): pyproject.toml hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "knit-provider needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Set PYTHON=")'
	@echo "Setting up $(VENV) ..."
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[airflow,environments,prefect,dask]' --group dev '$(AIRFLOW)'
	@touch $@

$(KERBEROS): $(READY)
	@bash devtools/system_packages.sh $(BIN)/python
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[kerberos]'
	@touch $@

$(PREFECT_READY): pyproject.toml hatch_build.py devtools/prefect_overrides.txt $(READY)
	@echo "Setting up $(PREFECT_VENV) ..."
	@test -x $(PREFECT_VENV)/bin/python || $(BIN)/python -m venv --without-pip $(PREFECT_VENV)
	@$(BIN)/uv pip install --quiet --upgrade --python $(PREFECT_VENV)/bin/python --override devtools/prefect_overrides.txt --editable '.[prefect]' --group test
	@touch $@

packages: $(KERBEROS) ## The system's packages for Kerberos: install what is missing, or say it
	@bash devtools/system_packages.sh $(BIN)/python

java: ## Is there a JDK that everything runs on?
	@bash devtools/check_java.sh

jar: $(JAR) ## Build knit.jar with Maven if its sources are newer
	@echo "jar: $(JAR), $$(( $$(wc -c < $(JAR)) / 1024 )) KiB"

$(JAR): $(JVM_SOURCES)
	@bash devtools/check_java.sh
	@echo "Building $(JAR) ..."
	@mvn -B -q -DskipTests package
	@touch $(JAR)

lint: $(KERBEROS) ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@echo "lint: ruff, mypy and import-linter found nothing"

format: $(READY) ## Format Python and Java
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .
	@mvn -B -q -Plint spotless:apply
	@echo "format: done"

# The last line is pytest's own summary.
test: ## Lint, JUnit, then all of pytest on one embedded Hadoop
	@$(MAKE) --no-print-directory java lint
	@$(MAKE) --no-print-directory test-java
	@$(MAKE) --no-print-directory test-python

test-java: ## JUnit
	@mvn -B -q test
	@echo "test-java: $$(cat target/surefire-reports/TEST-*.xml | grep -o '<testcase ' | wc -l) JUnit tests passed"

# Two at a time (tests/conftest.py says what goes together), since most of them wait. Dask's, Prefect's and Airflow's go one
# after the other in this order, so that Prefect's server has ended when Airflow's tests begin.
test-python: packages $(JAR) ## All of pytest
	@$(MAKE) --no-print-directory test-prefect-newest
	@$(BIN)/pytest -n 2 tests/unit tests/fuzz tests/hadoop tests/dask tests/prefect tests/airflow tests/kerberos tests/tls tests/ha tests/secure_ha $(ARGS)

test-unit: $(KERBEROS) ## pytest without any daemon
	@$(BIN)/pytest tests/unit tests/fuzz $(ARGS)

test-hadoop: $(KERBEROS) $(JAR) ## pytest on the embedded Hadoop
	@$(BIN)/pytest tests/hadoop $(ARGS)

test-dask: $(KERBEROS) $(JAR) ## pytest of Dask clusters on the embedded Hadoop
	@$(BIN)/pytest tests/dask $(ARGS)

test-kerberos: packages $(JAR) ## pytest on an embedded Hadoop with Kerberos
	@$(BIN)/pytest tests/kerberos $(ARGS)

test-tls: $(KERBEROS) $(JAR) ## pytest on an embedded Hadoop with TLS
	@$(BIN)/pytest tests/tls $(ARGS)

test-ha: $(KERBEROS) $(JAR) ## pytest on an embedded Hadoop whose active daemons die
	@$(BIN)/pytest tests/ha $(ARGS)

test-secure-ha: packages $(JAR) ## the same, with Kerberos and TLS
	@$(BIN)/pytest tests/secure_ha $(ARGS)

test-airflow: $(KERBEROS) $(JAR) ## pytest with a real Airflow on the embedded Hadoop
	@$(BIN)/pytest tests/airflow $(ARGS)

test-airflow-oldest: $(OLDEST)/.ready ## The quick tests of the provider on the oldest Airflow that it works with
	@$(OLDEST)/bin/pytest tests/unit/airflow $(ARGS)

$(OLDEST)/.ready: pyproject.toml | $(READY)
	@echo "Setting up $(OLDEST) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(OLDEST)
	@$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --editable '.[airflow,dask]' 'apache-airflow==$(OLDEST_AIRFLOW).*' --group test
	@touch $@

test-prefect: $(KERBEROS) $(JAR) ## pytest with a real Prefect server on the embedded Hadoop
	@$(BIN)/pytest tests/unit/prefect tests/prefect $(ARGS)

test-prefect-newest: $(PREFECT_READY) $(JAR) ## The main ones with the newest Prefect, in .venv-prefect
	@echo "test-prefect-newest: Prefect $$($(PREFECT_VENV)/bin/python -c 'import prefect; print(prefect.__version__)')"
	@$(PREFECT_VENV)/bin/pytest tests/unit/prefect tests/prefect/test_flows.py \
		tests/prefect/test_worker.py::test_a_flow_runs_in_a_container $(ARGS)

demo: ## A real Hadoop, a real Airflow and the word count DAG, from nothing
	@$(PYTHON) demo

ui: $(READY) $(JAR) ## A Hadoop and an Airflow to click in, until Ctrl-C
	@$(BIN)/python -m devtools.playground

fuzz: $(READY) ## Hostile input of all kinds for a while; needs no daemon. ARGS="--minutes 60 --examples 5000"
	@$(BIN)/python -m devtools.fuzz $(ARGS)

ui-screenshots: $(READY) $(JAR) ## Look at Airflow's and Prefect's pages with Chromium; pictures for the docs. ARGS=prefect
	@bash devtools/system_packages.sh $(BIN)/python browser
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --group browser
	@$(BIN)/python -m devtools.screenshots $(ARGS)

soak: $(READY) $(JAR) ## Start and kill applications for a while: does anything pile up? ARGS="--minutes 60"
	@$(BIN)/python -m devtools.soak $(ARGS)

bench: $(READY) $(JAR) ## Figures beside Skein's and Knit's, in one run on one cluster
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(READY) ## Build the documentation into site/
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --group docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "docs: site/index.html"

clean: ## Remove what was built; the .venv folders and Maven's repository stay
	@rm -rf target build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .demo knit_provider/jars/knit.jar knit_provider/jars/knit-am.sh
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
	@echo "clean: built files are gone; $(VENV) stays (rm -rf $(VENV) removes it)"
