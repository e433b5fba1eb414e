PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-slow lint figures notebooks docs evidence clean

## demo: the main job on bundled handwritten digits; ends with what it found and the path of the report
demo: $(READY)
	$(BIN)/python -m empirical.compare --preset digits-demo --jobs 2 --out runs/demo

## test: lint, types, tests
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

## test-slow: the tests that take minutes
test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

## figures: draw every figure again from the committed results
figures: $(READY)
	$(BIN)/python -m figures

## notebooks: execute every notebook and write its outputs
notebooks: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/execute.py

CIFAR10 ?= cifar10

## evidence: the primary claims of docs/protocol.md again, on three training sets; 17 minutes on two cores
evidence: $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[pretrained]"
	$(BIN)/python -m empirical.evidence primary --sets 3 --cifar10 $(CIFAR10) --jobs 2 --out runs/evidence --publish runs/evidence/primary
	$(BIN)/python -m empirical.findings runs/evidence/primary

## docs: the site, in site/
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Rebuilt when pyproject.toml changes; --upgrade-deps keeps pip new enough for the project's metadata.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "installing into $(VENV) (the first time this downloads PyTorch: a few minutes)"
	$(PYTHON) -m venv --upgrade-deps $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test,notebooks,docs]"
	touch $(READY)

clean:
	rm -rf $(VENV) runs site
