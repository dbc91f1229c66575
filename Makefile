# make demo   environment, model, and thirty texts, half with a planted fault, judged under three criteria
# make test   everything that is checked, as CI runs it; TORCH=1 adds the torch backends and training,
#             SLOW=1 the tests that take a minute each
# make nano   the shipped judge anew, of the judgments in DATA=FOLDER: examples, training, adapter, figures,
#             and whether they lie within the intervals of the shipped ones; over three hours on two cores
# make integrations  each tool that has an adapter, installed anew, with a judge inside; HOSTS="trl mlflow" only these
# make check  format, lint, types, layers
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)
TORCH  ?= 0
SLOW   ?= 0
export PIP_DISABLE_PIP_VERSION_CHECK = 1

ifeq ($(UV),)
INSTALL := $(BIN)/python -m pip install --quiet
MAKE_VENV := $(PYTHON) -m venv $(VENV)
else
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
MAKE_VENV := $(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
endif

DATA   ?= ../shared/data
NANO   ?= runs/nano
.PHONY: demo test check format docs clean browser nano integrations

demo: $(VENV)/.core
	$(BIN)/glider demo

test: $(VENV)/$(if $(filter 1,$(TORCH)),.torch,.dev) browser
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(if $(filter 1,$(SLOW)),,-m "not slow")

# Stopped at any moment, the same command goes on. About two hours and a half on two quiet cores, then
# three quarters of an hour for the figures.
nano: $(VENV)/.torch
	@test -d $(DATA) || { echo "no folder $(DATA): name the one with the judgments, DATA=FOLDER" >&2; exit 1; }
	test -d $(NANO)/examples || $(BIN)/glider data src/glider/corpus/mixtures/nano-score.yaml \
	  --data $(DATA) --out $(NANO)/examples
	test -d $(NANO)/examples-2 || $(BIN)/glider data src/glider/corpus/mixtures/nano-reasons.yaml \
	  --data $(DATA) --out $(NANO)/examples-2
	$(BIN)/glider train nano --data $(NANO)/examples --out $(NANO)/run \
	  $$(test ! -d $(NANO)/run || echo --resume)
	$(BIN)/glider train nano-reasons --set start=$(NANO)/run --data $(NANO)/examples-2 \
	  --out $(NANO)/run-2 $$(test ! -d $(NANO)/run-2 || echo --resume)
	test -d $(NANO)/adapter || $(BIN)/glider export $(NANO)/run-2 --to adapter --out $(NANO)/adapter \
	  --data $(NANO)/examples-2
	$(BIN)/python benchmarks/trust.py --data $(DATA) --held-out $(NANO)/examples --model fast \
	  --nano $(NANO)/adapter --limit 40 --survey whole marked --only base nano "nano explained" \
	  --runs $(NANO)/bench --out $(NANO)/results --docs $(NANO)/benchmarks.md
	$(BIN)/python benchmarks/nano_check.py $(NANO)/results/trust/results.json

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BIN)/python:
	$(MAKE_VENV)

$(VENV)/.core: pyproject.toml | $(BIN)/python
	$(INSTALL) -e .
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	touch $(VENV)/.core $@

# The CPU build where the index has one; on Linux elsewhere this brings CUDA packages.
$(VENV)/.torch: pyproject.toml | $(BIN)/python
	$(INSTALL) torch==2.13.0
	$(INSTALL) -e '.[dev,train]'
	touch $(VENV)/.core $(VENV)/.dev $@

# The report is tested in a real browser where there is one; CI may install it.
browser:
ifeq ($(CI),true)
	@command -v chromium >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null \
	|| { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }
endif

# Each host gets an environment of its own in build/integrations; needs a network, and npm for promptfoo.
integrations: $(VENV)/.core
	$(BIN)/python tests/integrations/run.py $(HOSTS)

# The site, from the same files; a broken link fails.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
