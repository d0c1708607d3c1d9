# Everything runs in .venv, which is made when it is missing. `make` alone says what there is.
#   make test PYTHON=python3.12      use this interpreter (the first suitable one by default)
#   make test TESTS=tests/chart      run a part of the tests; PYTEST="-x -k name" hands options to pytest

VENV := .venv
EXTRAS := dev,analysis
BIN := $(VENV)/bin
READY := $(VENV)/.installed
TESTS ?=
PYTEST ?=
NAME ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench clean

help:
	@echo "make demo     fit, sample, simulate and judge the packaged molecule; leaves runs/demo/report.html (under 8 min)"
	@echo "make test     run the tests (under 10 min)"
	@echo "make lint     ruff and pyright"
	@echo "make format   let ruff put code and imports in order"
	@echo "make bench    list the benchmarks; make bench NAME=... runs one"
	@echo "make install  only make the environment in $(VENV)"
	@echo "make clean    remove the environment and caches; runs/ stays"

install: $(READY)

$(READY): pyproject.toml requirements/py311.txt requirements/py312.txt requirements/install.sh
	@sh requirements/install.sh "$(VENV)" "$(EXTRAS)" "$(PYTHON)"
	@touch $@

demo: $(READY)
	@mkdir -p runs; out=runs/demo; n=2; \
	while [ -e "$$out" ]; do out=runs/demo-$$n; n=$$((n + 1)); done; \
	$(BIN)/twofold demo --out "$$out"

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST) $(TESTS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
ifeq ($(NAME),)
	@echo "Choose one (each says at its top what it measures):"
	@for file in $$(grep -l __main__ benchmarks/*.py); do \
	  name=$$(basename "$$file" .py); \
	  printf '  make bench NAME=%-20s %s\n' "$$name" "$$(sed -n '1s/^"""//p' "$$file" | sed 's/"""$$//')"; \
	done
else
	$(BIN)/python benchmarks/$(NAME).py $(ARGS)
endif

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
