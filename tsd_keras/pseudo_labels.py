"""Labels made by a teacher for data that has none."""

import keras
import numpy as np
from keras import ops

from tflite.errors import UserError
from tsd_keras.taps import TappedModel


def pseudo_labels(
    teacher: keras.Model,
    data: np.ndarray,
    k: int = 3,
    kind: str = "soft",
    seed: int = 0,
    preprocess=None,
) -> np.ndarray:
    """The teacher's predictions, smoothed over those that resemble each other.

    Among the samples of every predicted class, the predicted probabilities are gathered in `k` clusters
    (k-means, Lloyd 1982). A sample's soft pseudo label is the mean of its cluster. A synthetic one is
    drawn from the Dirichlet distribution fitted to the cluster by its moments: it has the cluster's mean,
    and the cluster's spread.

    Args:
        teacher: A classifier that ends in logits or softmax.
        data: Inputs `(n, ...)` as the student takes them.
        k: Clusters for each predicted class; fewer where a class has fewer different predictions.
        kind: `"soft"` or `"synthetic"`.
        seed: Seed of the clustering and of the draws.
        preprocess: Turns `data` into the teacher's inputs, as in `Distiller`.

    Returns:
        float32 `(n, classes)`; rows are not negative and add up to 1.

    Raises:
        ValueError: If `k` or `kind` is none of the possible.
        UserError: If the teacher's predictions are no finite numbers.
    """
    if kind not in ("soft", "synthetic"):
        raise ValueError(f'kind must be "soft" or "synthetic", got {kind!r}.')
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a positive integer, got {k!r}.")
    predictions = probabilities(teacher, data, preprocess)
    generator = np.random.default_rng(seed)
    labels = np.empty_like(predictions)
    answers = predictions.argmax(-1)
    for answer in np.unique(answers):
        members = np.flatnonzero(answers == answer)
        cluster_of = _clusters(predictions[members], k, seed)
        for cluster in np.unique(cluster_of):
            chosen = members[cluster_of == cluster]
            mean = predictions[chosen].mean(0)
            labels[chosen] = mean if kind == "soft" else _drawn(predictions[chosen], mean, generator)
    return labels.astype("float32")


def probabilities(model: keras.Model, x: np.ndarray, preprocess=None, batch_size: int = 256) -> np.ndarray:
    """A classifier's predicted probabilities `(n, classes)`, float64, whatever its last activation is."""
    tapped = TappedModel(model)
    logits = []
    for start in range(0, len(x), batch_size):
        batch = ops.convert_to_tensor(x[start : start + batch_size])
        batch = batch if preprocess is None else preprocess(batch)
        logits.append(ops.convert_to_numpy(tapped(batch).logits))
    values = np.concatenate(logits).astype("float64").reshape(len(x), -1)
    if not np.isfinite(values).all():
        faulty = (~np.isfinite(values).all(-1)).sum()
        raise UserError(
            f"The model {model.name!r} answers {faulty} of {len(x)} samples with NaN or infinity. Was it "
            "trained, and are its inputs in the range it was trained on?"
        )
    values = np.exp(values - values.max(-1, keepdims=True))
    return values / values.sum(-1, keepdims=True)


def _clusters(predictions, k, seed):
    from sklearn.cluster import KMeans

    k = min(k, len(np.unique(predictions, axis=0)))
    if k == 1:
        return np.zeros(len(predictions), int)
    return KMeans(k, n_init=4, random_state=seed).fit_predict(predictions)


def _drawn(predictions, mean, generator):
    """Draws from the Dirichlet distribution of the predictions' mean and total variance.

    Of a Dirichlet distribution with precision s, class j has the variance m_j (1 - m_j) / (s + 1).
    """
    variance = predictions.var(0).sum()
    if variance == 0:
        return np.tile(mean, (len(predictions), 1))
    precision = max((mean * (1 - mean)).sum() / variance - 1, 1e-3)
    return generator.dirichlet(np.maximum(mean * precision, 1e-6), len(predictions))
