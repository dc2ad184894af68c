PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: bench test check format docs clean

bench: $(READY)  ## the main job: train, sample, embed, search, judge, report
	$(BIN)/memtk bench --generator monai3d --embedder ntxent3d

test: $(READY)  ## every test, with the coverage of memtk/
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=95

check: $(READY)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy memtk plugins

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## the pages that are made from the code
	$(BIN)/python docs/make_reference.py

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	touch $(READY)
