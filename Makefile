# make demo | make test | make fuzz | make setup: each prepares .venv first and reuses what stands.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: setup demo test fuzz test-boards boards-setup lint format lock clean bazel-test

setup: .venv/ready

# Holds the requirements that .venv was made of: a checkout renews the file's date, not always its content.
.venv/ready: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed. Install one, or: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@cmp -s requirements.txt $@ || { echo "Installing requirements.txt into .venv ..." && \
		$(PYTHON) -m venv --clear .venv && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt && \
		cp requirements.txt $@; }
	@touch $@

demo: setup
	$(BIN)/python -m tsd_keras.distill --config configs/digits.yaml --workdir runs/digits

test: lint
	$(BIN)/python -m pytest

# Random models of one operator and random graphs, many more of them than in make test.
fuzz: setup
	TSD_FUZZ=$${TSD_FUZZ:-500} TSD_FUZZ_GRAPHS=$${TSD_FUZZ_GRAPHS:-2000} $(BIN)/python -m pytest \
		tests/tflite/test_aot_operators.py tests/tflite/test_aot_graphs.py

# Generated C on emulated chips; a part of make test too. What is missing is skipped and named.
test-boards: setup
	$(BIN)/python -m pytest -rs tests/boards tests/firmware

# Debian's cross compilers and emulators, about 2 GB; only as root.
boards-setup:
	apt-get update --quiet --quiet
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends \
		gcc-arm-none-eabi picolibc-arm-none-eabi qemu-system-arm \
		gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc \
		gcc-xtensa-lx106 picolibc-xtensa-lx106-elf \
		gcc-powerpc-linux-gnu libc6-dev-powerpc-cross qemu-user \
		gcc-avr binutils-avr avr-libc simavr libsimavr-dev arduino-core-avr arduino-builder arduino-ctags cppcheck clang clang-tidy libclang-rt-dev lld \
		libc6-dev-i386 lib32gcc-12-dev

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Renews the exact versions from the ranges in pyproject.toml.
lock:
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet pip-tools
	.venv-lock/bin/pip-compile --quiet --extra test --strip-extras --upgrade --no-annotate --no-header --allow-unsafe \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml
	echo "# Exact, tested versions; make lock renews them from pyproject.toml." > requirements.txt
	sed -E '/^tflite-micro==/s/ *(;.*)?$$/ ; sys_platform == "linux" and platform_machine == "x86_64"/' \
		requirements.lock >> requirements.txt
	rm -rf .venv-lock requirements.lock

clean:
	rm -rf .venv .venv-lock runs build dist .pytest_cache .ruff_cache

# The same tests as Bazel targets, one a file; needs a bazel on the PATH.
bazel-test: setup
	bazel --output_user_root="$(CURDIR)/.bazel" test //... --test_env=PATH="$(CURDIR)/$(BIN):/usr/bin:/bin" \
		--local_test_jobs=2
