"""The teacher's answers, computed once and kept on disk."""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import pathlib
import time

import ml_dtypes
import numpy as np

from tflite import files
from tflite.errors import UserError
from tsd_keras import teacher_source
from tsd_keras.data.batches import Batches
from tsd_keras.data.views import Views, fingerprint
from tsd_keras.teacher import RecordedTeacher

DTYPES = {"float16": np.dtype("float16"), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
_MANIFEST, _PROGRESS = "manifest.json", "progress.json"
_SECONDS_BETWEEN_SAVES = 5.0
_MEANING = {
    "schema": "another version of this package",
    "teacher": "another teacher (its weights or layers)",
    "preprocess": "another preprocessing of the teacher's input",
    "ends_in": "another kind of outputs (ends_in)",
    "samples": "other data",
    "seed": "another seed of the views",
    "augmentation": "another augmentation",
    "views": "another number of views",
    "dtype": "another type of the features",
}


class StaleCache(UserError):
    """A folder holds the teacher's answers to something else.

    Attributes:
        reason: What it holds, in a few words.
    """

    def __init__(self, folder, reasons):
        self.reason = f"the teacher's answers in {folder} were recorded with {'; '.join(reasons)}"
        super().__init__(f"Stale: {self.reason}. Remove the folder, or give another.")


class TeacherCache:
    """A teacher's logits, and activations at taps, for some views of a data set.

    The folder holds `logits.npy` (float32), one `tap*.npy` per layer (float16, or bfloat16 as its bits
    in uint16), all `(views, samples, ...)`, and `manifest.json`, which is written last: without it the
    cache counts as unfinished. Batches are read from the files piece by piece, so a cache may be much
    larger than memory.

    Args:
        folder: A finished cache.

    Raises:
        UserError: If there is none, it is unfinished or damaged.

    Example:

    ```python
    cache = TeacherCache.fill("answers", teacher, x_train, taps=["stage3_out"], views=8,
                              augmentation=config.Augmentation(flip=True, shift=4))
    distiller = Distiller(cache.teacher, student, [SoftLabels(), Tap("stage3_out")])
    distiller.compile("adam", loss="sparse_categorical_crossentropy")
    batches = cache.dataset(x_train, y_train)
    distiller.fit(batches, epochs=30, callbacks=[batches.clock])
    ```
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = pathlib.Path(folder)
        manifest = _manifest(self.folder)
        if manifest is None:
            state = "unfinished; fill it again, which continues it" if self.folder.is_dir() else "missing"
            raise UserError(f"The teacher's answers in {self.folder} are {state}.")
        self.facts = manifest["facts"]
        self.views: int = manifest["facts"]["views"]
        self.samples: int = manifest["samples"]
        self._logits = _Rows(self.folder, manifest["logits"])
        self._taps = {path: _Rows(self.folder, entry) for path, entry in manifest["taps"].items()}
        self.nbytes: int = sum(rows.nbytes for rows in (self._logits, *self._taps.values()))
        self.teacher = RecordedTeacher(
            self._logits.shape[2:],
            {path: rows.shape[2:] for path, rows in self._taps.items()},
            manifest["ends_in"],
            manifest["teacher"],
        )

    @classmethod
    def fill(
        cls,
        folder: str | os.PathLike,
        teacher,
        x: np.ndarray,
        *,
        taps=(),
        views: int = 1,
        augmentation=None,
        seed: int = 0,
        preprocess=None,
        dtype: str = "float16",
        batch_size: int = 256,
        ends_in: str | None = None,
        identity: str | None = None,
        progress: bool = True,
    ) -> "TeacherCache":
        """Asks the teacher, unless the folder holds its answers already. An interrupted fill continues.

        Args:
            folder: Where the answers are kept.
            teacher: A `keras.Model`; a `.keras`, `.h5`, `.tflite` or `.npy` file; an array of outputs
                `(n, classes)` or `(views, n, classes)`; or a callable from a batch to outputs.
            x: The student's inputs `(n, ...)` before augmentation: an array or a memory-mapped file.
            taps: Paths of the teacher's layers to keep the activations of.
            views: Views kept of every sample.
            augmentation: A `tsd_keras.config.Augmentation`; `None` for the samples as they are.
            seed: Seed of the views.
            preprocess: Callable or Keras layer from the student's batch to the teacher's.
            dtype: `"float16"` or `"bfloat16"`, of the activations.
            batch_size: Samples the teacher answers at once.
            ends_in: What a teacher that is no Keras model puts out: `"logits"`, `"softmax"`, `"sigmoid"`.
            identity: For a callable: a text that changes when its answers would.
            progress: Whether to show a progress bar.

        Raises:
            StaleCache: If the folder holds the answers to something else; it says to what.
            UserError: If the disk is full, or the answers are not finite.
        """
        folder = pathlib.Path(folder)
        if dtype not in DTYPES:
            raise UserError(f"dtype={dtype!r}: features are kept in {' or '.join(DTYPES)}.")
        if isinstance(views, bool) or not isinstance(views, int) or views < 1:
            raise UserError(f"views={views!r}: give a number of views to keep, at least 1.")
        if isinstance(taps, str):
            raise UserError(f"taps={taps!r}: give a list of layers' paths, [{taps!r}].")
        views_of_x = Views(x, seed, augmentation)
        source = teacher_source.source(teacher, taps, preprocess, ends_in, identity)
        facts = {"schema": 1} | source.facts | views_of_x.facts | {"views": views, "dtype": dtype}
        with files.explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                if not _stands(folder, facts, taps):
                    name = getattr(teacher, "name", "teacher")
                    _Filler(folder, source, views_of_x, taps, facts, name).run(batch_size, progress)
        return cls(folder)

    def answers(self, samples: np.ndarray, view: int, taps=None) -> dict:
        """The teacher's answers to one view of some samples.

        Args:
            samples: Their indices `(batch,)`.
            view: Number of the view, below `views`.
            taps: Paths of the layers wanted; all that are kept, if not given.

        Returns:
            `{"logits": float32 (batch, classes), "taps": {path: (batch, ...)}}`.
        """
        samples = np.asarray(samples)
        if not 0 <= view < self.views or not np.all((samples >= 0) & (samples < self.samples)):
            raise ValueError(
                f"The answers in {self.folder} are to {self.samples} samples in {self.views} views; asked "
                f"was for view {view}, samples {np.min(samples)} to {np.max(samples)}."
            )
        paths = self._taps if taps is None else taps
        return {
            "logits": self._logits.read(samples, view),
            "taps": {path: self._taps[path].read(samples, view) for path in paths},
        }

    def dataset(self, x, y=None, *, batch_size=64, seed=0, shuffle=True, taps=None, share=(0, 1)) -> Batches:
        """Batches for a `Distiller` whose teacher is `cache.teacher`: inputs, answers, labels.

        Every epoch shows the next of the views. Give `dataset.clock` to `fit` as a callback: it starts with
        view 0 and goes by the number of the epoch, also where a training continues at a later one, or where
        another student has learned from the same batches.

        Args:
            x: The samples the cache was filled with.
            y: Labels `(n, ...)`, one-hot and float32 where there is mixup; or `None`.
            batch_size: Samples per step.
            seed: Seed of the shuffling.
            shuffle: Whether every epoch has an order of its own; without it no sample is left out.
            taps: Paths of the layers wanted; all that are kept, if not given.
            share: `(index, count)`: this process's part of every batch.

        Raises:
            UserError: If `x` is not what the cache was filled with, or a tap was not kept.
        """
        from tsd_keras import config

        if fingerprint(x) != self.facts["samples"]:
            raise UserError(
                f"The answers in {self.folder} are not to these samples: they are to {self.samples} of other "
                f"values or another type, x is {x.dtype} {x.shape}. Give the x the cache was filled with."
            )
        unknown = [path for path in taps or () if path not in self._taps]
        if unknown:
            raise UserError(f"The answers in {self.folder} hold {list(self._taps)}, not {unknown[0]!r}.")
        if y is not None and len(y) != len(x):
            raise UserError(f"y holds {len(y)} labels for {len(x)} samples.")
        settings = self.facts.get("augmentation")
        views = Views(x, self.facts.get("seed", 0), settings and config.Augmentation(**settings))
        return Batches(
            views,
            y,
            batch_size,
            seed,
            self.views,
            shuffle=shuffle,
            answers=lambda samples, view: self.answers(samples, view, taps),
            share=share,
        )


def _manifest(folder):
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        if not {"facts", "samples", "logits", "taps", "teacher", "ends_in"} <= set(manifest):
            raise ValueError("a part is missing")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UserError(f"{folder / _MANIFEST} is damaged. Remove the folder and fill it again.") from error
    return manifest


def _stands(folder, facts, taps) -> bool:
    """Whether the folder holds these answers. Answers to something else are refused."""
    manifest = _manifest(folder)
    if manifest is None:
        return False
    found = manifest["facts"]
    differing = [key for key in _MEANING if found.get(key) != facts.get(key)]
    reasons = [_MEANING[key] for key in differing]
    missing = [path for path in taps if path not in manifest["taps"]]
    if missing:
        reasons.append(f"no layer {', '.join(missing)}")
    if not reasons:
        return True
    raise StaleCache(folder, reasons)


@contextlib.contextmanager
def _alone(folder):
    """One process fills a folder; others wait, and find it filled."""
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Rows:
    """One file of a cache, read row by row: pages that were read do not stay in the process."""

    def __init__(self, folder, entry):
        path = folder / entry["file"]
        self.shape = tuple(entry["shape"])
        self.dtype = DTYPES.get(entry["dtype"], np.dtype(entry["dtype"]))
        self._row_bytes = math.prod(self.shape[2:]) * self.dtype.itemsize
        self.nbytes = self.shape[0] * self.shape[1] * self._row_bytes
        size = path.stat().st_size if path.is_file() else 0
        if size != entry["header_bytes"] + self.nbytes:
            raise UserError(f"{path} is damaged: {size} bytes. Remove the folder {folder} and fill it again.")
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - open as long as the cache is
        self._first = entry["header_bytes"]

    def read(self, samples, view) -> np.ndarray:
        descriptor, size = self._file.fileno(), self._row_bytes
        start = self._first + view * self.shape[1] * size
        rows = np.empty((len(samples), size), "uint8")
        for row, index in zip(rows, samples, strict=True):
            if os.preadv(descriptor, [row], start + int(index) * size) != size:
                raise UserError(f"{self._file.name} ends early. Remove its folder and fill the cache again.")
        return rows.view(self.dtype).reshape(len(samples), *self.shape[2:])


class _Filler:
    """Writes the files of a cache from front to back, so that what is done is a number of rows."""

    def __init__(self, folder, source, views, taps, facts, teacher_name):
        self._folder, self._source, self._views = folder, source, views
        self._facts, self._taps, self._name = facts, tuple(taps), teacher_name
        self._samples = len(views.x)
        first = np.arange(1)
        logits, activations = source(views(first, 0)[0], first, 0)
        self._entries = [self._entry("logits.npy", logits, "float32")]
        for index, values in enumerate(activations):
            self._entries.append(self._entry(f"tap{index}.npy", values, facts["dtype"]))

    def _entry(self, name, values, dtype):
        shape = (self._facts["views"], self._samples, *values.shape[1:])
        return {
            "file": name,
            "shape": list(shape),
            "dtype": dtype,
            "header_bytes": len(_header(shape, dtype)),
        }

    def run(self, batch_size, progress):
        from rich.progress import Progress

        total, done = self._facts["views"] * self._samples, self._resumed()
        self._save([], done)  # before the first byte: files without it are somebody else's
        with contextlib.ExitStack() as stack:
            outputs = [stack.enter_context(self._opened(entry, done)) for entry in self._entries]
            bar = stack.enter_context(Progress(disable=not progress, transient=True))
            task = bar.add_task("   the teacher answers", total=total, completed=done)
            saved = time.monotonic()
            while done < total:
                done += self._batch(outputs, done, batch_size)
                bar.update(task, completed=done)
                if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                    self._save(outputs, done)
                    saved = time.monotonic()
            self._save(outputs, done)
        self._finish()

    def _batch(self, outputs, done, batch_size) -> int:
        view, first = divmod(done, self._samples)
        samples = np.arange(first, min(first + batch_size, self._samples))
        logits, activations = self._source(self._views(samples, view)[0], samples, view)
        for file, entry, values in zip(outputs, self._entries, [logits, *activations], strict=True):
            file.write(self._stored(entry, np.asarray(values, "float32")).tobytes())
        return len(samples)

    def _stored(self, entry, values):
        if not np.isfinite(values).all():
            raise UserError(f"The teacher {self._name!r} answers with NaN or infinite values.")
        with np.errstate(over="ignore"):
            stored = values.astype(DTYPES.get(entry["dtype"], entry["dtype"]))
        if entry["dtype"] == "float16" and not np.isfinite(stored).all():
            layer = self._taps[self._entries.index(entry) - 1]
            raise UserError(
                f"The teacher's activations at {layer} reach {np.abs(values).max():.4g}, more than float16 "
                'holds. Keep them in dtype="bfloat16".'
            )
        return stored

    def _resumed(self) -> int:
        """Rows that an interrupted fill of the same answers left whole."""
        files_there = [entry["file"] for entry in self._entries if (self._folder / entry["file"]).exists()]
        if not (self._folder / _PROGRESS).exists():
            if files_there:
                raise UserError(
                    f"{self._folder} holds {files_there[0]}, which no fill of a cache left there. Give the "
                    "cache a folder of its own."
                )
            return 0
        try:
            progress = json.loads((self._folder / _PROGRESS).read_text())
            if progress["key"] != self._key():
                return 0
            return min([progress["rows"], *map(self._whole_rows, self._entries)])
        except (ValueError, TypeError, KeyError):
            return 0

    def _whole_rows(self, entry) -> int:
        """Rows that a file holds, whatever was noted: it may have been cut since."""
        path = self._folder / entry["file"]
        size = path.stat().st_size if path.is_file() else 0
        return max(size - entry["header_bytes"], 0) // _row_bytes(entry)

    def _key(self) -> str:
        text = json.dumps([self._facts, self._taps, self._entries], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @contextlib.contextmanager
    def _opened(self, entry, rows):
        path = self._folder / entry["file"]
        with open(path, "r+b" if rows else "wb") as file:
            if rows:
                file.truncate(entry["header_bytes"] + rows * _row_bytes(entry))
                file.seek(0, os.SEEK_END)
            else:
                file.write(_header(entry["shape"], entry["dtype"]))
            yield file

    def _save(self, outputs, rows):
        for file in outputs:
            file.flush()
            os.fsync(file.fileno())
        files.write_json(self._folder / _PROGRESS, {"key": self._key(), "rows": rows})

    def _finish(self):
        logits, *taps = self._entries
        manifest = {
            "schema": 1,
            "key": self._key(),
            "facts": self._facts,
            "teacher": self._name,
            "ends_in": self._source.ends_in,
            "samples": self._samples,
            "logits": logits,
            "taps": dict(zip(self._taps, taps, strict=True)),
        }
        files.write_json(self._folder / _MANIFEST, manifest)
        (self._folder / _PROGRESS).unlink()


def _row_bytes(entry) -> int:
    """Bytes of one sample's answers in a file."""
    return math.prod(entry["shape"][2:]) * DTYPES.get(entry["dtype"], np.dtype(entry["dtype"])).itemsize


def _header(shape, dtype) -> bytes:
    """The first bytes of a `.npy` file; bfloat16, which the format does not know, as uint16."""
    import io

    buffer = io.BytesIO()
    descr = {"bfloat16": "<u2", "float16": "<f2", "float32": "<f4"}[dtype]
    np.lib.format.write_array_header_1_0(
        buffer, {"shape": tuple(shape), "fortran_order": False, "descr": descr}
    )
    return buffer.getvalue()
