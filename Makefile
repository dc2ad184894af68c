PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEVELOP := .venv/.develop
# what pip has to say to its own users would bury what memtk says to ours; errors are shown
PIP := PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

.PHONY: bench quick test check format docs leaderboard clean

bench: $(READY)  ## the main job: train, sample, embed, search, judge, report
	$(BIN)/memtk bench --generator monai3d --embedder ntxent3d

# as many processes as there are cores: one thread each, and those that wait must not spin
quick test: export OMP_NUM_THREADS := 1
quick test: export OMP_WAIT_POLICY := PASSIVE
quick test: export GOMP_SPINCOUNT := 0
# the programs that tests start need not compile memtk anew, each of them
quick test: export PYTHONDONTWRITEBYTECODE :=
# what they write stays in memory where there is room: some disks take milliseconds for each removal
quick test: export PYTEST_DEBUG_TEMPROOT := $(shell df -Pk /dev/shm 2>/dev/null \
	| awk 'NR == 2 && $$4 > 8000000 {print "/dev/shm"}')
quick: $(DEVELOP)  ## what one runs between two changes: no training, no pictures, no coverage
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -q -m "not slow" tests

test: $(DEVELOP)  ## every test, with the coverage of memtk/
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal --cov --cov-report=term:skip-covered --cov-fail-under=95

check: $(DEVELOP)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy memtk plugins

format: $(DEVELOP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEVELOP)  ## the pages that are made from the code, and the site of all pages (build/site)
	$(BIN)/python docs/make_reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

leaderboard: $(READY)  ## the table of the results under benchmarks/results
	$(BIN)/memtk leaderboard benchmarks/results --markdown benchmarks/LEADERBOARD.md

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage

$(READY): pyproject.toml constraints.txt  # what a bench needs
	$(PYTHON) -m venv .venv
	$(PIP) install --constraint constraints.txt --editable .
	touch $(READY)

$(DEVELOP): $(READY)  # the rest: tests, linters, pages
	$(PIP) install --constraint constraints.txt --editable '.[test,lint,docs]'
	touch $(DEVELOP)
