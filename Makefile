# make book   environment, notebooks, the book in _build/html
# make test   lint, notebooks, strict book, unit and browser tests
# make help   all targets
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

# Another interpreter: make PYTHON=/path/to/python3.12 book
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CACHE := _build/.jupyter_cache
LOGS := _build/logs
# make test BROWSER=0 leaves the browser tests out (they need Debian's chromium)
BROWSER ?= 1
# Notebooks and tests run in this many processes. Each computes in one thread of NumPy's: more of them would wait for each
# other.
WORKERS ?= 2
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --color=no --numprocesses=$(WORKERS) --durations=10
# without the plugin for notebooks, which takes each process seconds to import
PLAIN := $(PYTEST) -p no:nbmake
# a file of tests stays in one process, which compiles its fixtures once
TESTS := $(PLAIN) --dist=loadfile --no-loadscope-reorder
# What the optional extras bring lies on top of the environment, so that nothing is installed twice.
EXTRAS := _build/extras
# what needs the built book or a browser is not a unit test
BROWSER_TESTS := $(shell grep -l 'mark[.]browser' tests/test_*.py)
UNIT := $(foreach file,$(BROWSER_TESTS),--ignore=$(file))
# each chapter in one thread of XLA's too: its programs are so small that sharing them among threads costs a sixth more
EXECUTE := PJRT_NPROC=1 $(PYTEST) notebooks --nbmake --nbcache=$(CACHE) --nbmake-timeout=600 --maxschedchunk=1

# XLA reports a slow compilation on stderr, and stderr in a cell fails the build; a busy machine is no error.
export TF_CPP_MIN_LOG_LEVEL := 3
# matplotlib's list of fonts belongs to this environment: one made by an environment that is gone names fonts that are
# gone, and says so on stderr. It is made with the environment, since making it is announced there too.
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/matplotlib

# What most processes import is compiled to bytecode once, with the environment: else each of the processes that start
# together would spend six seconds on it, and, where PYTHONDONTWRITEBYTECODE is set, each of all that follow.
COMMON := softq.training,softq.lab,seaborn,matplotlib.font_manager,ipykernel.kernelapp,ipywidgets,scipy.stats,nbmake
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help complete env book notebooks html test built robust count lint unit browser screenshots overview launch pdf extras lab lock clean

help:
	@echo "make book         environment, notebooks, the book; prints where to open it"
	@echo "make test         lint, notebooks, strict book, unit and browser tests (BROWSER=0 leaves the last out)"
	@echo "make robust       notebooks and unit tests with other seeds, instruction sets and threads: a table of what fails"
	@echo "make extras       the optional packages (environments, films, exports, Ray, Optuna, trackers, parquet), installed and tested"
	@echo "make count        counts the layout of softq/, the fields and switches of the methods, and what they repeat"
	@echo "make lab          JupyterLab on the notebooks, where every lab is a live widget"
	@echo "make env          only the environment in $(VENV) (PYTHON=... chooses the interpreter)"
	@echo "make pdf          the built book as one PDF, _build/softq.pdf"
	@echo "make screenshots  pictures of the built pages, light, dark and phone, in _build/screenshots"
	@echo "make launch       put the cell that installs softq on Binder and Colab into the notebooks, see _config.yml"
	@echo "make lock         make requirements.txt anew from pyproject.toml"
	@echo "make clean        remove _build (the environment stays)"

env: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "softq needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "installing requirements.txt into $(VENV); the first time takes a few minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(BIN)/python -c "import $(COMMON)"
	@touch $(STAMP)

# The book never executes a notebook: pytest does, once, into the cache that the book reads.
book: env
	@mkdir -p $(LOGS)
	$(EXECUTE) --nbcache-reuse
	@$(MAKE) --no-print-directory html
	@echo
	@echo "The book is built. Open file://$(CURDIR)/_build/html/index.html"

notebooks: env
	@mkdir -p $(LOGS)
	$(EXECUTE) | tee $(LOGS)/notebooks.log

# Nothing old is kept: Sphinx would not repeat the warnings of pages it has already read.
html: env
	@mkdir -p $(LOGS)
	@rm -rf _build/html _build/.doctrees
	$(BIN)/jupyter-book build . -n -W --keep-going 2>&1 | tee $(LOGS)/html.log
	@if grep -q "Executing notebook" $(LOGS)/html.log; then \
		echo "the book executed a notebook itself; run make notebooks first"; exit 1; fi

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/oxlint book/_static
	$(BIN)/pyrefly check --python-interpreter-path $(BIN)/python

complete:
	@if [ "$(BROWSER)" = 0 ] && [ -n "$${SOFTQ_REQUIRE_BROWSER:-}" ]; then \
		echo "SOFTQ_REQUIRE_BROWSER is set: the browser tests may not be left out"; exit 1; fi

unit: env
	$(TESTS) tests $(UNIT)

browser: env
	@mkdir -p $(LOGS)
	$(PLAIN) $(BROWSER_TESTS) --dist=worksteal | tee $(LOGS)/browser.log

# The unit tests run beside the notebooks and the book that is made of them: where one waits for a disk, a child or a
# browser, the other computes. What the unit tests say is printed when both have ended.
test: complete lint
	@rm -rf $(LOGS); mkdir -p $(LOGS)
	@$(MAKE) --no-print-directory unit >$(LOGS)/unit.log 2>&1 & unit=$$!; trap "kill $$unit 2>/dev/null || true" EXIT; \
	status=0; $(MAKE) --no-print-directory built || status=$$?; \
	wait $$unit || status=$$?; cat $(LOGS)/unit.log; echo; \
	for part in notebooks browser unit; do \
		printf '%-10s' $$part; grep -E '^=+ .* in [0-9.]+s' $(LOGS)/$$part.log | tail -n 1 || echo "not run"; done; \
	exit $$status

built: notebooks html
	@if [ "$(BROWSER)" = 0 ]; then echo "browser tests left out (BROWSER=0)"; else \
		$(MAKE) --no-print-directory browser; fi

# Their packages in the versions of requirements.txt, where it names them; the tests of these environments and trackers,
# which a run of all tests skips.
extras: env
	@test -x $(EXTRAS)/bin/python || $(BIN)/python -m venv $(EXTRAS)
	@cd $(EXTRAS)/lib/python3*/site-packages && echo $(CURDIR)/$(VENV)/lib/python3*/site-packages >below.pth
	$(EXTRAS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c requirements.txt \
		-e ".[dmc,envpool,export,robotics,ray,parquet,tensorboard,trackio,tune,video]"
	OPENBLAS_NUM_THREADS=1 $(EXTRAS)/bin/python -m pytest --color=no --durations=10 tests/test_extras.py

# Several hours on two cores. A part of it: ROBUST='--only 09_svgd --conditions seeds+1 AVX2'; see --help.
ROBUST ?=
robust: env
	$(BIN)/python tests/robust/run.py $(ROBUST)

# Another checkout at its side: COUNT='--beside ../old'; see --help.
COUNT ?=
count: env
	$(BIN)/python tests/count.py $(COUNT)

screenshots: env
	PYTHONPATH=book/_ext $(BIN)/python tests/screenshots.py

overview: env
	$(BIN)/python book/overview.py

# What was built last, as one file for paper; it needs Debian's chromium.
pdf: env
	$(BIN)/python book/pdf.py

# The cell that installs softq on Binder and Colab, in every notebook, as _config.yml names the repository.
launch: env
	$(BIN)/python book/launch.py

lab: env
	$(BIN)/jupyter lab notebooks

# uv resolves for Python 3.11 and 3.12 at once; it is used here only and lives in its own environment.
lock:
	@test -x _build/uv/bin/uv || { $(PYTHON) -m venv _build/uv && _build/uv/bin/pip install --quiet uv; }
	_build/uv/bin/uv pip compile --universal --python-version 3.11 --extra dev pyproject.toml -o requirements.txt >/dev/null

clean:
	rm -rf _build
