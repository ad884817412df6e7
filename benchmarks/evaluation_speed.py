"""Evaluation on all cores against the bare loop of one interpreter.

    python -m benchmarks.evaluation_speed --model ic_resnet8_int8.tflite

In every round, for each engine, by turns: the bare loop of an interpreter on one core; the same loop in as
many processes as there are cores, at the same time; and `tflite.parallel` over all samples, the start of its
processes included. "Per core" is the time of `tflite.parallel` times the number of cores, a sample, over
that of a bare loop: 1.00 means that every core does what the loop does. Medians over the rounds. Where other
programs run on the same cores, one bare loop has an advantage that no evaluation on all cores can have; the
loops side by side share the cores as it does, and CPU seconds (ended children included) do not count what
others take. `--out benchmarks/results/evaluation_speed.md` writes the table to a file.
"""

import argparse
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

from tflite import engines, files, parallel
from tsd_keras.versions import versions

_LOOP = """
import sys, time
import numpy as np
from benchmarks import evaluation_speed
infer, x = evaluation_speed.prepared(sys.argv[1], sys.argv[2], int(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
started = time.perf_counter()
for row in x:
    infer(row)
print(time.perf_counter() - started)
"""


def main():
    """Measures every engine that is here, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop-seconds", type=float, default=1.0, help="of a bare loop, about")
    parser.add_argument("--engines", nargs="+", default=list(engines.available()))
    parser.add_argument("--out", type=pathlib.Path, help="also write the table to this file")
    options = parser.parse_args()
    cores = parallel.available_cores()
    rows = [_measured(name, options, cores) for name in options.engines]
    text = _page(options, cores, rows)
    print(text, end="")
    if options.out:
        files.write_text(options.out, text)


def prepared(model, name: str, count: int):
    """An interpreter's bare inference, warm, and random inputs for it, each with the batch of 1."""
    opened = engines.open_engine(pathlib.Path(model), name)
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (count, 1, *opened.input.shape[1:])).astype(opened.input.dtype)
    for row in x[:3]:
        opened._infer(row)
    return opened._infer, x


def _measured(name, options, cores) -> dict:
    """Medians of one engine, in seconds a sample, and their ratios."""
    data = options.model.read_bytes()
    infer, x = prepared(options.model, name, options.samples)
    once, _ = _timed(lambda: [infer(row) for row in x[:20]])
    count = min(len(x), max(20, int(options.loop_seconds * 20 / once)))
    rounds = []
    for index in range(options.rounds):
        bare, bare_cpu = (one / count for one in _timed(lambda: [infer(row) for row in x[:count]]))
        beside = _side_by_side(options.model, name, count, cores) / count
        whole, cpu = (one / len(x) for one in _timed(lambda: parallel.run(data, name, x[:, 0])))
        rounds.append((bare, beside, whole, cores * whole / bare, cores * whole / beside, cpu / bare_cpu))
        print(f"{name} round {index + 1}: " + " ".join(f"{one:.4g}" for one in rounds[-1]), file=sys.stderr)
    keys = ("bare", "beside", "whole", "per_core", "per_core_beside", "cpu")
    middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return {"engine": name, "loop": count} | dict(zip(keys, middle, strict=True))


def _side_by_side(model, name, count, cores) -> float:
    """Seconds of the bare loop when every core runs one: the mean over the cores."""
    command = [sys.executable, "-c", _LOOP, str(model), name, str(count)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    loops = [subprocess.Popen(command, text=True, **pipes) for _ in range(cores)]
    for loop in loops:
        loop.stdout.readline()
    for loop in loops:
        loop.stdin.write("\n")
        loop.stdin.flush()
    return statistics.mean(float(loop.communicate()[0]) for loop in loops)


def _timed(work) -> tuple[float, float]:
    """Wall and CPU seconds, ended child processes included."""
    wall, cpu = time.perf_counter(), _cpu()
    work()
    return time.perf_counter() - wall, _cpu() - cpu


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _page(options, cores, rows) -> str:
    used = versions()
    told = ", ".join(f"{key} {used[key]}" for key in ("python", "ai-edge-litert", "tflite-micro", "numpy"))
    lines = [
        "# Evaluation on all cores",
        "",
        f"    python -m benchmarks.evaluation_speed --model {options.model.name} --samples {options.samples} "
        f"--rounds {options.rounds}",
        "",
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {cores} cores, load of the machine (its own "
        f"included) {os.getloadavg()[1]:.1f}; medians of {options.rounds} rounds; {told}.",
        "",
        "| engine | bare loop, ms a sample | on every core at once | all samples on all cores, s "
        "| per core over one bare loop | over loops on every core | CPU seconds over one bare loop |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['engine']} | {1000 * row['bare']:.3f} | {1000 * row['beside']:.3f} "
        f"| {row['whole'] * options.samples:.2f} | {row['per_core']:.2f} | {row['per_core_beside']:.2f} "
        f"| {row['cpu']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
