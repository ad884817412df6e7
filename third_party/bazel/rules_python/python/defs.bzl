"""Bazel 4 has these rules built in; current Bazel takes the real rules_python."""

py_binary = native.py_binary
py_library = native.py_library
py_test = native.py_test
