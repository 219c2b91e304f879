# The front door: `make` lists what it can do. Needs Python 3.11 or later and GNU make; everything else goes into .venv.

SCALE ?= standard
# The images that the report is about: MNIST, FashionMNIST, KMNIST, or a folder of data/ with IDX files in its folder raw.
DATASET ?= MNIST
PYTHON ?= python3
# How many to use at most; unless set, all that the process may use, which build.py finds out.
CORES ?=
# A folder of workflow/profiles: then every run is a job of a cluster, such as one of slurm's.
PROFILE ?=

VENV := .venv
BIN := $(VENV)/bin/python
# Written last by an install that went well, so that one that failed is tried again.
INSTALLED := $(VENV)/installed
# Builds of torch for the processor alone take less; a later install fetches only what has changed.
FOR_PROCESSOR = $(findstring whl/cpu,$(PIP_EXTRA_INDEX_URL))
NEEDED_GB = $(if $(wildcard $(INSTALLED)),1,$(if $(FOR_PROCESSOR),4,8))
CLUSTER := $(VENV)/cluster
# Pythae, which only the benchmark needs: beside .venv, not in it, and on the same torch.
BENCH := .bench

# A file that make archive wrote: the report is built from it.
export ARCHIVE ?=

# What the scripts of workflow/ are about.
OF = $(SCALE) --dataset '$(DATASET)' $(if $(CORES),--cores '$(CORES)') $(if $(PROFILE),--profile '$(PROFILE)')

SCALES := $(sort $(basename $(notdir $(wildcard workflow/scales/*.yaml))))
LINTED := vaelib notebooks report workflow tests benchmarks

# The environment's own `python3` kernel, even where the person's home folder offers another by that name.
export JUPYTER_PREFER_ENV_PATH := 1

.DEFAULT_GOAL := help
.PHONY: help report status archive install test lint lab bench clean distclean

help:  ## list the targets
	@echo "make TARGET [SCALE=$(SCALE)] [DATASET=$(DATASET)] [CORES=N] [PROFILE=slurm] [PYTHON=$(PYTHON)]      scales: $(SCALES)"
	@sed -n 's/^\([a-z]*\):.*##/\1:/p' $(MAKEFILE_LIST) | awk -F': *' '{printf "  %-10s %s\n", $$1, $$2}'
	@echo "CORES is how many runs may be at work at a time; without it, as many as there are cores to use."

report: scale-exists $(if $(PROFILE),$(CLUSTER)) $(INSTALLED)  ## run what is stale at SCALE and build its report in report/build/SCALE
	@$(if $(ARCHIVE),$(BIN) workflow/archive.py report "$$ARCHIVE",$(BIN) workflow/build.py $(OF))

status: scale-exists $(INSTALLED)  ## say what report would run, why and for how long, and how old the published report is
	@$(BIN) workflow/status.py $(OF)

archive: scale-exists $(INSTALLED)  ## pack what the report is made of, without weights: make report ARCHIVE=FILE needs no training
	@$(BIN) workflow/archive.py pack $(SCALE) --dataset '$(DATASET)'

install: $(INSTALLED)  ## set up .venv (every other target does so by itself)

test: $(INSTALLED)  ## run the tests
	@$(BIN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)  ## check the code's style, and that no room imports one above it
	@$(BIN) -m ruff check $(wildcard $(LINTED))
	@$(BIN) -m ruff format --check $(wildcard $(LINTED))
	@$(VENV)/bin/lint-imports --no-cache --no-logo

lab: $(INSTALLED)  ## open copies of the notebooks in JupyterLab; OPTIONS="--no-browser" and the like are passed on
	@$(BIN) workflow/lab.py $(OPTIONS)

bench: $(BENCH)/installed  ## measure the training's throughput beside other loops; OPTIONS="--all" or "--quick" are passed on
	@$(BIN) benchmarks/throughput.py $(OPTIONS)

clean:  ## remove the built reports and caches; results stay
	rm -rf report/build .pytest_cache .ruff_cache *.egg-info
	find vaelib workflow tests benchmarks notebooks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean  ## remove the results and .venv too
	rm -rf results $(VENV) $(BENCH)

.PHONY: scale-exists
scale-exists:
	@$(if $(filter $(SCALES:%=[%]),[$(SCALE)]),:,$(error SCALE=$(SCALE) is not one of: $(SCALES)))

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@'$(PYTHON)' -c 'import shutil, sys; version = "%d.%d" % sys.version_info[:2]; free = shutil.disk_usage(".").free / 1e9; \
	    sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed, $(PYTHON) is " + version + ": make PYTHON=..."); \
	    free > $(NEEDED_GB) or sys.exit("Installing needs $(NEEDED_GB) GB, but only %.1f GB are free on this disk" % free)'
	@echo "Installing the packages of requirements.txt into $(VENV): $(if $(wildcard $@),what has changed,$(if $(FOR_PROCESSOR),2,7) GB; it takes some minutes)"
	@'$(PYTHON)' -m venv $(VENV)
	@$(BIN) -m pip install --disable-pip-version-check -r requirements.txt -c constraints.txt
	@$(BIN) -m pip install --disable-pip-version-check --no-deps -e .
	@touch $@

$(CLUSTER): requirements-cluster.txt $(INSTALLED)
	@$(BIN) -m pip install --disable-pip-version-check -r $< -c constraints.txt
	@touch $@

# Without a network there is nothing of it, and the benchmark says so and goes on.
$(BENCH)/installed: benchmarks/requirements.txt $(INSTALLED)
	@rm -rf $(BENCH)
	@if $(BIN) -m pip install --disable-pip-version-check --quiet --no-deps --target $(BENCH) -r $<; \
	    then touch $@; else rm -rf $(BENCH); fi
