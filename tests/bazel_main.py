"""Runs one test file under Bazel, in the Python whose packages `make setup` installed."""

import os
import sys

import pytest

if __name__ == "__main__":
    os.environ.setdefault("HOME", os.environ.get("TEST_TMPDIR", "."))
    sys.exit(pytest.main(["-n", "0", "-p", "no:cacheprovider", *sys.argv[1:]]))
