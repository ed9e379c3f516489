# The commands that a person types. Everything happens in a virtual environment (.venv) and under build/; nothing is
# installed outside this folder, and nothing is needed but a C++20 compiler, Python 3.10+ with venv, and PyPI.
#
#   make demo       build, install, train two small networks          make lint      format, style, layers, ledger
#   make test       the C++ and Python tests, PyTorch as the oracle   make sanitize  the marked tests under ASAN+UBSAN
#   make bench      Ember against PyTorch, ratios printed             make test-all  every test, every re-run

SHELL   := /bin/bash
PYTHON  ?= python3
VENV    ?= .venv
JOBS    ?= $(shell nproc)
PY      := $(VENV)/bin/python
PIP     := $(PY) -m pip --quiet --disable-pip-version-check
SOURCES := $(shell find src python cmake include CMakeLists.txt pyproject.toml -type f -not -name '*.pyc' 2>/dev/null)
CXX_TESTS := $(shell find tests/cpp -type f 2>/dev/null)

export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
ifneq ($(shell command -v ccache),)
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
export CCACHE_BASEDIR ?= $(CURDIR)
export CCACHE_NOHASHDIR ?= 1
endif

.PHONY: demo test test-all bench lint format sanitize clean

demo: $(VENV)/installed-demo
	$(VENV)/bin/ember demo

test: $(VENV)/installed-tests
	$(VENV)/build-tests/ember_tests
	$(PY) tools/check_isa_symbols.py $(VENV)/build-tests
	$(PY) -m pytest -n $(JOBS) -m "not slow" tests

# What `make test` runs, again under each condition that must not change an answer.
test-all: test
	$(PY) -m pytest -n $(JOBS) tests
	EMBER_ISA=baseline $(PY) -m pytest -n $(JOBS) tests
	EMBER_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) tests
	EMBER_ALLOCATOR=system $(PY) -m pytest -n $(JOBS) tests
	$(MAKE) sanitize

bench: $(VENV)/installed-tests
	$(PY) bench/run.py $(BENCH)

lint: $(VENV)/installed-lint
	$(PY) tools/lint.py
	$(PY) tools/check_layers.py
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	git ls-files '*.cc' '*.h' | xargs -r $(VENV)/bin/clang-format --dry-run -Werror
	$(PY) tools/ledger.py

format: $(VENV)/installed-lint
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	git ls-files '*.cc' '*.h' | xargs -r $(VENV)/bin/clang-format -i

# The library once more with both sanitizers, in a folder of its own that PYTHONPATH puts before .venv's. The fuzzer has
# two minutes there.
PRELOAD := $(shell g++ -print-file-name=libasan.so):$(shell g++ -print-file-name=libubsan.so)
sanitize: $(VENV)/installed-tests
	$(PIP) install . --no-deps --upgrade --target build/sanitize/site -C build-dir=build/sanitize/tree \
	  -C cmake.define.EMBER_BUILD_TESTS=ON -C cmake.define.EMBER_SANITIZE=ON
	UBSAN_OPTIONS=print_stacktrace=1 build/sanitize/tree/ember_tests
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 LD_PRELOAD=$(PRELOAD) \
	  EMBER_FUZZ_SECONDS=$${EMBER_FUZZ_SECONDS:-120} PYTHONPATH=build/sanitize/site \
	  $(PY) -m pytest -p no:cacheprovider -n $(JOBS) -m sanitize tests

clean:
	rm -rf build dist $(VENV) ember-demo

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip

# pip builds in build/<wheel tag> and keeps it, so a second build compiles only what changed.
$(VENV)/installed-demo: $(VENV)/bin/python $(SOURCES)
	$(PIP) install ".[demo]"
	$(PY) tools/slowest.py build
	touch $@

$(VENV)/installed-tests: $(VENV)/bin/python $(SOURCES) $(CXX_TESTS)
	$(PIP) install ".[test]" -C cmake.define.EMBER_BUILD_TESTS=ON
	$(PY) tools/slowest.py build
	ln -sfn ../$$(ls -td build/cp*/ | head -1) $(VENV)/build-tests
	touch $(VENV)/installed-demo $@

$(VENV)/installed-lint: $(VENV)/bin/python pyproject.toml
	$(PIP) install clang-format==14.0.6 ruff==0.17.5
	touch $@
