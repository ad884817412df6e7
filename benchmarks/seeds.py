"""Baseline against distilled student over several seeds, equal budgets.

    python -m benchmarks.seeds --config configs/digits.yaml --workdir runs/digits_seeds
    python -m benchmarks.seeds --config configs/cifar10_mini.yaml --workdir runs/cifar10_seeds \
        --set data.path=cifar10_mini.npz --set teacher.path=ic_resnet8.h5

Every seed is a whole run of `tsd_keras.distill`: initial weights, shuffling and views differ, the split
does not. The test split is touched once, after training. An interrupted benchmark continues.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np

from tsd_keras.versions import versions


def main():
    """Runs the seeds and prints mean and standard deviation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for seed in range(options.seeds):
        workdir = options.workdir / f"seed{seed}"
        overrides = [word for value in [*options.set, f"seed={seed}"] for word in ("--set", value)]
        command = [sys.executable, "-m", "tsd_keras.distill", "--config", options.config]
        subprocess.run([*command, "--workdir", workdir, *overrides], check=True)
        rows.append(json.loads((workdir / "metrics.json").read_text())["models"])
    print(f"\n{options.config}, {options.seeds} seeds: accuracy in %, mean and standard deviation")
    for engine in ("float", "litert", "tflm"):
        if any(row["student"][engine] is None for row in rows):
            continue
        values = {
            model: np.array([100 * row[model][engine]["accuracy"] for row in rows])
            for model in ("teacher", "baseline", "student")
        }
        values["student - baseline"] = values["student"] - values["baseline"]
        for name, one in values.items():
            print(
                f"{engine:7} {name:19} {one.mean():6.2f} +- {one.std(ddof=1):.2f}   {one.round(2).tolist()}"
            )
    print(versions())


if __name__ == "__main__":
    main()
