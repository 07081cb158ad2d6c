# Everything runs in the project's own .venv. Each target first installs what it needs if that is missing or older than the
# pins: the main job's packages, and an extra of pyproject.toml where it needs more.
SCALE ?= laptop
# of cores, however few threads each process shall take
JOBS ?= $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 2)
PYTHON ?= python3
MODULE ?= adaloss.stepsizes

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.reproduce
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
# compiling on all cores takes half of pip's time on one; a quarter is the packages' own tests, which nobody imports, and
# files for other versions of Python do not compile
COMPILE := $(PY) -m compileall -q -j 0 -x 'site-packages/.*/tests/' $(VENV)/lib >/dev/null 2>&1 || true
# experiment:sweep of each sweep of a part (or of one, by its name), as the files of configs/sweep say; the script that
# draws a sweep has its name
PAIRS = pairs=$$($(PY) -m experiments.runs.registry $(1))
# what make does with each of them
TRAIN = $(PY) -m experiments.$${pair%%:*} sweep=$${pair\#\#*:} scale=$(scale) \
    hydra/launcher=joblib hydra.launcher.n_jobs=$(jobs)
DRAW = $(PY) -m scripts.$${pair\#\#*:} --scale $(scale)

# SCALE and JOBS as the recipes use them: one of the three scales, and a whole number
scale = $(if $(filter 1-1,$(words $(SCALE))-$(words $(filter smoke laptop paper,$(SCALE)))),$(SCALE),$(no_scale))
no_scale = $(error SCALE=$(SCALE): allowed are smoke, laptop, paper)
jobs = $(if $(filter 1--,$(words $(JOBS))-$(no_digits)-$(filter 0%,$(JOBS))),$(JOBS),$(no_jobs))
no_jobs = $(error JOBS=$(JOBS): allowed is a whole number of at least 1)
no_digits = $(subst 0,,$(subst 1,,$(subst 2,,$(subst 3,,$(subst 4,,$(no_high_digits))))))
no_high_digits = $(subst 5,,$(subst 6,,$(subst 7,,$(subst 8,,$(subst 9,,$(JOBS))))))

# modules are those of this folder, and docstrings are part of the pages
unexport PYTHONSAFEPATH PYTHONOPTIMIZE

.DEFAULT_GOAL := help
.PHONY: help install test coverage mutants campaign smoke reproduce sweep figures claims report agree publish theory-check \
    compare bench release docs lint clean
# One target after the other, also with -j, for one needs what another writes: JOBS says how much runs in parallel
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  SCALE=smoke|laptop|paper (now $(SCALE)) chooses the size, JOBS=n (now $(JOBS)) the processes."
	@echo "  A figure alone, with the runs that it needs: make figure_1, make table_1, ..."

install: $(STAMP) ## build .venv with the pinned versions of what make reproduce needs

$(STAMP): pyproject.toml constraints.txt packaged.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "adaloss needs Python 3.11 or newer; give one as PYTHON=...")'
	@echo "building $(VENV) (once; downloads the packages)"
	@$(PYTHON) -m venv $(VENV)
	@# torch by its exact pin and first: any other request may bring gigabytes of CUDA packages
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) --editable '.[reproduce]'
	@$(PIP) --no-deps --require-hashes --requirement packaged.txt
	@$(COMPILE)
	@touch $@

$(VENV)/.test $(VENV)/.mutants $(VENV)/.peers $(VENV)/.docs: $(VENV)/.%: $(STAMP)
	@echo "installing what '$*' needs in addition (once)"
	@# pip would call it an error that packaged.txt's packages, of which files are read, lack their dependencies
	@$(PIP) --no-warn-conflicts --editable '.[$*]'
	@$(COMPILE)
	@touch $@

# File after file: xdist's own order, by the number of tests, leaves a long one to the end
test: $(VENV)/.test ## run the tests
	@$(PY) -m pytest -n $(jobs) --dist loadfile --no-loadscope-reorder

coverage: $(VENV)/.test ## measure which lines and branches of adaloss its tests take; fail under 96 %
	@$(PY) -m coverage run -m pytest tests/test_stepsizes.py tests/theory tests/optim tests/simulate
	@$(PY) -m coverage report

mutants: $(VENV)/.test $(VENV)/.mutants ## change a module a little, MODULE=adaloss.optim.update, and list what its tests do not notice
	@$(PY) -m mutmut run --max-children $(jobs) '$(MODULE).*'
	@for name in $$($(PY) -m mutmut results | sed -n 's/^ *\($(MODULE)\..*\): [^:]*\(survived\|no tests\)$$/\1/p'); do \
	    $(PY) -m mutmut show $$name; done

campaign: $(VENV)/.test ## try to break everything (an hour or more; docs/reliability.md has the promises)
	@set -e; for kind in kill fuzz library damage paper_scale machines; do \
	    echo "== $$kind"; $(PY) -m tests.campaign.$$kind; done

smoke: ## the whole reproduction at the smallest scale (4 minutes)
	@$(MAKE) --no-print-directory reproduce SCALE=smoke JOBS=$(jobs)

reproduce: $(STAMP) ## make all runs that are missing and each sweep's figure, then the claims and the report
	@$(PY) -m scripts.reproduce --scale $(scale) --jobs $(jobs)

figure_%: $(STAMP)
	@set -e; $(call PAIRS,$@); for pair in $$pairs; do $(TRAIN); $(DRAW); done

table_%: $(STAMP)
	@set -e; $(call PAIRS,$@); for pair in $$pairs; do $(TRAIN); $(DRAW); done

figure_compare: $(VENV)/.peers

sweep: $(STAMP) ## a sweep of your own: EXPERIMENT=linear_regression ARGS='method=adaloss b0=0.1,1' (docs/runs.md)
	@$(if $(EXPERIMENT),,$(error EXPERIMENT is missing: make sweep EXPERIMENT=linear_regression ARGS='b0=0.1,1'))
	@$(PY) -m experiments.$(EXPERIMENT) -m scale=$(scale) \
	    $(if $(findstring hydra/launcher=,$(ARGS)),,hydra/launcher=joblib hydra.launcher.n_jobs=$(jobs)) $(ARGS)

figures: $(STAMP) ## draw every figure from the saved runs
	@set -e; $(call PAIRS,paper); for pair in $$pairs; do $(DRAW); done

claims: $(STAMP) ## decide the paper's claims from the saved runs
	@$(PY) -m scripts.claims --scale $(scale)

report: $(STAMP) ## write figures/<scale>/report.html: all results next to the paper's, in one file
	@$(PY) -m scripts.report --scale $(scale)

agree: $(STAMP) ## compare this machine's verdicts and figures with the published ones
	@$(PY) -m scripts.claims.agree --scale $(scale)

publish: $(STAMP) ## copy the laptop scale's pictures and tables to figures/published, which is committed
	@mkdir -p figures/published
	@cp figures/laptop/*.png figures/laptop/*.csv figures/laptop/*.md figures/laptop/times.json figures/published/
	@$(PY) -m scripts.report --scale laptop # which compares with what is published
	@cp figures/laptop/report.html figures/published/
	@$(PY) -m scripts.claims.tally figures/published/claims.csv README.md
	@$(PY) -m scripts.compare_page figures/published/figure_compare.csv docs/compare.md

theory-check: $(STAMP) ## check every proved bound on random problems and networks (SCALE=paper: ten times as many)
	@set -e; $(call PAIRS,figure_bounds figure_stochastic figure_networks); for pair in $$pairs; do $(TRAIN); $(DRAW); done

compare: $(VENV)/.peers ## train our optimizers and their peers over eight decades of the initial step, and draw that
	@set -e; $(call PAIRS,compare); for pair in $$pairs; do $(TRAIN); $(DRAW); done

bench: $(VENV)/.peers ## time optimizers against the alternatives, and certificates against their trainings
	@for name in optim certificates; do $(PY) -m benchmarks.$$name; done

release: $(VENV)/.test ## build dist/, and try the wheel on each Python that is here (downloads torch for each)
	@$(PY) -m build --no-isolation
	@set -e; for name in python3.11 python3.12 python3.13; do \
	    if $$name -m venv build/$$name; then build/$$name/bin/python -m pip install --quiet --disable-pip-version-check \
	        --constraint constraints.txt "$$(grep '^torch==' constraints.txt)" "$$(ls dist/*.whl)[runs]"; fi; done
	@$(PY) -m pytest tests/test_release.py

docs: $(VENV)/.docs ## build the documentation's site in site/
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "site/index.html"

lint: $(VENV)/.test ## check style, formatting and the optimizers' types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

clean: ## remove .venv, caches and drawn figures; saved runs stay
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis *.egg-info build mutants
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf figures/smoke figures/laptop figures/paper site dist

# in any order on the command line: what shows a thing comes after what makes it
report: | $(filter reproduce figures claims,$(MAKECMDGOALS))
agree publish: | $(filter reproduce figures claims report,$(MAKECMDGOALS))
claims figures: | $(filter reproduce,$(MAKECMDGOALS))
