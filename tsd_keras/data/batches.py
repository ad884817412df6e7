"""Training batches that depend on the seed, the epoch and nothing else."""

import keras
import numpy as np

from tsd_keras.data.views import Views


class Batches(keras.utils.PyDataset):
    """Shuffled batches of views: `(x,)`, or `(x, y)` where there are labels.

    What batch `i` of epoch `e` holds follows from `(seed, e, i)` alone, so a training that was
    interrupted and resumed at an epoch sees what an uninterrupted one would, and two trainings with
    the same seed see the same views. Give `clock` to `fit` as a callback: it sets the
    epoch, which is otherwise counted from 0.

    Args:
        views: The samples, and how they are varied.
        y: Labels `(n, ...)` or `None`.
        batch_size: Samples per batch; an incomplete last one is left out.
        seed: Seed of the shuffling.
        cycle: Number of views that take turns, epoch by epoch; 0 gives every epoch a new one.
        shuffle: Whether every epoch has an order of its own. Without it the last batch may be
            incomplete.
        answers: Gives the teacher's answers: called with the samples' indices and the view. Batches
            then hold them beside the inputs, as `tsd_keras.teacher.with_answers` puts them.
        share: `(index, count)`: this process's part of every batch, where several train together.
    """

    def __init__(
        self, views: Views, y, batch_size, seed, cycle=0, *, shuffle=True, answers=None, share=(0, 1)
    ):
        super().__init__()
        self._views, self._y = views, y
        self._batch_size = min(batch_size, len(views.x))
        self._seed, self._cycle, self._shuffle = seed, cycle, shuffle
        self._answers = answers
        self._share = share
        if self._batch_size % share[1]:
            raise ValueError(
                f"A batch of {self._batch_size} samples cannot be shared evenly by {share[1]} processes."
            )
        self._order = (None, None)
        self.epoch = 0
        self.clock = _Clock(self)

    def __len__(self):
        count = len(self._views.x)
        return count // self._batch_size if self._shuffle else -(-count // self._batch_size)

    def __getitem__(self, index):
        from tsd_keras import teacher

        samples = self._shuffled()[index * self._batch_size : (index + 1) * self._batch_size]
        samples = np.array_split(samples, self._share[1])[self._share[0]]
        view = self.epoch % self._cycle if self._cycle else self.epoch
        x, y = self._views(samples, view, self._y)
        if self._answers is not None:
            x = teacher.with_answers(x, self._answers(samples, view))
        return (x,) if y is None else (x, y)

    def on_epoch_end(self):
        """Counts epochs for a `fit` that was not given the clock."""
        self.epoch += 1

    def _shuffled(self):
        if self._order[0] != self.epoch:
            count = len(self._views.x)
            generator = np.random.default_rng([self._seed, self.epoch])
            order = generator.permutation(count) if self._shuffle else np.arange(count)
            self._order = self.epoch, order
        return self._order[1]


class _Clock(keras.callbacks.Callback):
    def __init__(self, batches):
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self._batches.epoch = epoch
