"""Ahead of time: a graph becomes one C99 file and one header, without an interpreter.

`lower` turns the graph's operators into calls of the kernels in `firmware/kernels/`, `plan` places
the tensors in the arena, `emit` writes the text.
"""
