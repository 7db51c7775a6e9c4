# make demo    a live stream to look at, without an encoder
# make test    the unit tests, then the end-to-end tests with real clients
# make lint    ruff and mypy
# make bench-latency, make bench-fanout    figures, into build/bench (bench/README.md)
# make clean   remove what the other targets made
#
# Needs make and Python 3.11 or newer. Debian and Ubuntu as root: missing clients are installed.

MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
PYTEST_ARGS ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench-latency bench-fanout clean clients venv

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^$$/q'

demo: venv
	@$(VENV)/bin/hlsorigin demo

test: venv clients
	@$(PYTHON) -m pytest -q $(PYTEST_ARGS)

lint: venv
	@$(VENV)/bin/ruff check --quiet
	@$(VENV)/bin/ruff format --quiet --check
	@$(VENV)/bin/mypy --no-error-summary
	@echo "lint: ok"

bench-latency: venv clients
	@$(PYTHON) -m bench.latency $(BENCH_ARGS)

bench-fanout: venv
	@$(PYTHON) -m bench.fanout $(BENCH_ARGS)

venv: $(VENV)/.installed
	@:

$(VENV)/.installed: pyproject.toml .ci/make-venv
	@.ci/make-venv $(VENV)
	@touch $@

clients:
	@.ci/get-clients

clean:
	@rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
