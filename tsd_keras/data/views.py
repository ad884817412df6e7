"""The random views of a data set: which one a sample shows follows from (seed, sample, view) alone."""

import hashlib

import numpy as np

from tflite.errors import UserError
from tsd_keras.data import augmentation as change


class Views:
    """Samples and labels as training sees them, view by view.

    View `v` of sample `i` is the same in every batch, order, epoch and process, so a teacher's answer
    to it can be kept. That holds for mixup too: the partner of sample `i` in view `v`, and its share,
    follow from (seed, i, v), the partner stands in the same view, and what is kept is the teacher's
    answer to the mixed image itself.

    Args:
        x: Samples `(n, ...)`, read only where asked for: an array or a memory-mapped file.
        seed: Seed of the views.
        augmentation: A `tsd_keras.config.Augmentation`, or `None` for the samples as they are.

    Raises:
        UserError: If samples that are no images are to be mirrored, moved or covered.
    """

    def __init__(self, x: np.ndarray, seed: int = 0, augmentation=None):
        if augmentation is not None and x.ndim != 4:
            asked = [name for name in ("flip", "shift", "cutout") if getattr(augmentation, name)]
            if asked:
                raise UserError(
                    f"augmentation.{asked[0]} is for images (samples, height, width, channels); these are "
                    f"{x.shape}. Leave it out."
                )
        self.x = x
        self.seed = seed
        self.augmentation = augmentation
        self._draws = (None, None)

    @property
    def are_random(self) -> bool:
        """Whether one view differs from the next."""
        return self.augmentation is not None and self.augmentation.is_random

    @property
    def facts(self) -> dict:
        """What the views follow from, as plain values: equal facts, equal views."""
        facts = {"samples": fingerprint(self.x)}
        if self.are_random:
            facts |= {"seed": self.seed, "augmentation": self.augmentation.model_dump()}
        return facts

    def __call__(self, samples: np.ndarray, view: int, y: np.ndarray | None = None):
        """One view of some samples.

        Args:
            samples: Their indices `(batch,)`.
            view: Number of the view, from 0.
            y: Labels of all samples, `(n, ...)`; one-hot and float32 where there is mixup.

        Returns:
            `x` `(batch, ...)` and `y` `(batch, ...)`, `None` where there are no labels.
        """
        labels = None if y is None else y[samples]
        if not self.are_random:
            return np.ascontiguousarray(self.x[samples]), labels
        draws = self._drawn(view)
        x = self._changed(samples, draws)
        if self.augmentation.mixup:
            partners, share = draws["partner"][samples], draws["share"][samples]
            x = change.blend(x, self._changed(partners, draws), share)
            labels = None if y is None else change.blend(labels, y[partners], share)
        return np.ascontiguousarray(x, "float32"), labels

    def _changed(self, samples, draws):
        settings, x = self.augmentation, self.x
        uniform = draws["uniform"][samples].T
        if settings.flip or settings.shift:
            mirrored = (uniform[0] < 0.5) & settings.flip
            top, left = (uniform[1:3] * (2 * settings.shift + 1)).astype(int)
            x = change.moved(x, samples, mirrored, top, left, settings.shift)
        else:
            x = x[samples]
        if settings.cutout:
            row, column = (uniform[3] * x.shape[1]).astype(int), (uniform[4] * x.shape[2]).astype(int)
            x = change.cutout(x, row, column, settings.cutout)
        return x

    def _drawn(self, view):
        """The random numbers of a whole view; an epoch has one, so the last is kept."""
        kept, draws = self._draws
        if kept != view:
            count = len(self.x)
            draws = {"uniform": self._generator(view, 0).random((count, 5), "float32")}
            if self.augmentation.mixup:
                share = self._generator(view, 1).beta(*[self.augmentation.mixup] * 2, count)
                draws["share"] = np.maximum(share, 1 - share).astype("float32")
                draws["partner"] = self._generator(view, 2).permutation(count)
            self._draws = view, draws
        return draws

    def _generator(self, view, purpose):
        return np.random.default_rng([self.seed, view, purpose])


def fingerprint(values: np.ndarray) -> str:
    """SHA-256 over an array's shape, type and values, read piece by piece."""
    checksum = hashlib.sha256(f"{values.shape}{values.dtype}".encode())
    step = max(1, 2**24 // max(1, values[:1].nbytes))
    for start in range(0, len(values), step):
        checksum.update(np.ascontiguousarray(values[start : start + step]).tobytes())
    return checksum.hexdigest()
