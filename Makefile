# Each target makes the environment if it is missing. VENV may point elsewhere (CI keeps one outside of the clone).
VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
READY := $(VENV)/.igmu-ready

.PHONY: demo church test slow nightly lint docs build release clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(VENV)/bin/igmu demo --out dist/demo

church: $(READY)
	$(PY) -m builders.church

# Two processes of one thread each: twice as fast as one of two. A file's tests stay together, for they share fixtures.
test: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

slow: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest -m slow -n 2 --dist loadfile

# Plants small defects one by one, each of which some test has to notice, and runs what takes too long for CI. About
# half an hour on two cores. pytest's 5 says that no test is marked so.
nightly: $(READY)
	$(PY) -m builders.mutants
	OMP_NUM_THREADS=1 $(PY) -m pytest -m nightly -n 2 --dist loadfile || test $$? -eq 5

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m builders.words

docs: $(READY)
	$(PY) -m builders.docs
	$(PY) -m zensical build --clean --strict

build: $(READY)
	$(PY) -m build --outdir dist
	$(PY) -m builders.bench --out dist/hub
	$(PY) -m builders.spaces --out dist/hub

# All that a release needs, tried on a local Hub; uploads nothing, and says at the end what would be.
release: $(READY)
	$(PY) -m builders.release
	$(MAKE) lint build docs
	$(VENV)/bin/igmu validate dist/hub/igmu/bench
	OMP_NUM_THREADS=1 $(PY) -m pytest -q tests/hub tests/test_wheel.py -m "slow or not slow"
	$(PY) -m builders.push dist/hub

clean:
	rm -rf dist build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
