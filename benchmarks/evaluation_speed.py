"""Evaluation on all cores against the bare loop of one interpreter.

    python -m benchmarks.evaluation_speed --model ic_resnet8_int8.tflite

Prints, for each engine, the time of the bare loop, that of `tflite.parallel`, and the latter's time per core
over the former's: 1.00 means that every core does what the loop does on one. Processes are started within
the time measured. On a machine that does other work as well, wall time says little: the ratio of CPU seconds,
children included, is printed beside it.
"""

import argparse
import pathlib
import resource
import time

import numpy as np

from tflite import engines, parallel


def main():
    """Measures every engine that is here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--loop-samples", type=int, default=1_000, help="samples of the bare loop")
    parser.add_argument("--engines", nargs="+", default=list(engines.available()))
    options = parser.parse_args()
    data, cores = options.model.read_bytes(), parallel.available_cores()
    print(f"{options.model.name}, {options.samples} samples, {cores} cores")
    for name in options.engines:
        opened = engines.open_engine(data, name)
        rng = np.random.default_rng(0)
        x = rng.integers(-128, 128, (options.samples, *opened.input.shape[1:])).astype(opened.input.dtype)
        loop = x[: options.loop_samples]
        bare = _timed(lambda loop=loop, opened=opened: [opened._infer(row[None]) for row in loop])
        whole = _timed(lambda name=name, x=x: parallel.run(data, name, x))
        wall = whole[0] * cores / len(x) / (bare[0] / len(loop))
        cpu = whole[1] / len(x) / (bare[1] / len(loop))
        print(
            f"{name:7} bare {1000 * bare[0] / len(loop):.3f} ms a sample; all cores {whole[0]:.2f} s in all, "
            f"wall per core {wall:.2f} of the bare loop, CPU {cpu:.2f}"
        )


def _timed(work) -> tuple[float, float]:
    """Wall and CPU seconds, ended child processes included."""
    wall, cpu = time.perf_counter(), _cpu()
    work()
    return time.perf_counter() - wall, _cpu() - cpu


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
