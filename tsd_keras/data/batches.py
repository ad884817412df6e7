"""Training batches that depend on the seed, the epoch and nothing else."""

import keras
import numpy as np

from tsd_keras.data.augmentation import augment


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches `(x, one-hot y)`.

    What batch `i` of epoch `e` holds follows from `(seed, e, i)` alone, so a training that was
    interrupted and resumed at an epoch sees what an uninterrupted one would, and two trainings with
    the same seed see the same views. Give `clock` to `fit` as a callback: it sets the epoch.

    Args:
        x: float32 `(n, ...)`.
        y: Integer labels `(n,)`.
        classes: Number of classes.
        batch_size: Samples per batch; an incomplete last one is left out.
        seed: Seed of shuffling and augmentation.
        augmentation: A `tsd_keras.config.Augmentation`.
    """

    def __init__(self, x, y, classes, batch_size, seed, augmentation):
        super().__init__()
        self._x, self._y = x, np.eye(classes, dtype="float32")[y]
        self._batch_size = min(batch_size, len(x))
        self._seed = seed
        self._augmentation = augmentation
        self.epoch = 0
        self.clock = _Clock(self)

    def __len__(self):
        return len(self._x) // self._batch_size

    def __getitem__(self, index):
        order = np.random.default_rng([self._seed, self.epoch]).permutation(len(self._x))
        chosen = order[index * self._batch_size : (index + 1) * self._batch_size]
        rng = np.random.default_rng([self._seed, self.epoch, index + 1])
        return augment(self._x[chosen], self._y[chosen], rng, self._augmentation)


class _Clock(keras.callbacks.Callback):
    def __init__(self, batches):
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self._batches.epoch = epoch
