"""Trains a student on one device, on two, or with other processes, on JAX, and writes losses and weights.

Usage: python train_distributed.py OUTPUT.npz [ADDRESS COUNT INDEX]

Alone: on one device as `one_`, on all virtual devices as `all_`, from a cache as `cached_`. As one of COUNT
processes: as `all_`.
"""

import sys
import tempfile

import keras
import numpy as np
from small_models import CLASSES, image_model, images

from tsd_keras import DenseKernel, Distiller, SoftLabels, Tap, TeacherCache
from tsd_keras.data.batches import Batches
from tsd_keras.data.views import Views

X, Y = images(64)
ONE_HOT = np.eye(CLASSES, dtype="float32")[Y]


def trained(share=(0, 1), folder=None):
    keras.utils.set_random_seed(0)
    teacher = image_model("teacher", 6, end="softmax", batch_norm=False)
    student = image_model("student", 3, batch_norm=False)
    data = Batches(Views(X), ONE_HOT, 16, seed=0, share=share)
    if folder:
        cache = TeacherCache.fill(folder, teacher, X, taps=["stage1_out"], progress=False)
        teacher, data = cache.teacher, cache.dataset(X, ONE_HOT, batch_size=16, share=share)
    distiller = Distiller(
        teacher, student, [SoftLabels(2.0), Tap("stage1_out", kernel=DenseKernel("conv1x1"))]
    )
    for seed, model in enumerate([student, *distiller.dense_kernels]):
        rng = np.random.default_rng(seed)
        model.set_weights([0.2 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    distiller.compile(
        keras.optimizers.SGD(0.05, momentum=0.9), loss=keras.losses.CategoricalCrossentropy(from_logits=True)
    )
    history = distiller.fit(data, epochs=3, shuffle=False, verbose=0).history
    results = {name: np.array(values) for name, values in history.items()}
    return results | {f"weight{i}": np.asarray(value) for i, value in enumerate(student.get_weights())}


def main():
    output, *place = sys.argv[1:]
    results = {}
    share = (0, 1)
    if place:
        address, count, index = place[0], int(place[1]), int(place[2])
        keras.distribution.initialize(address, count, index)
        share = (index, count)
    else:
        results |= {f"one_{name}": value for name, value in trained().items()}
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    results |= {f"all_{name}": value for name, value in trained(share).items()}
    if not place:
        with tempfile.TemporaryDirectory() as folder:
            results |= {f"cached_{name}": value for name, value in trained(share, folder).items()}
    if share[0] == 0:
        np.savez(output, devices=len(keras.distribution.list_devices()), **results)


if __name__ == "__main__":
    main()
