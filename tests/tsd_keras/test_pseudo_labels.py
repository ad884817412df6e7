import keras
import numpy as np
import pytest
import small_models
from scipy.special import softmax

from tflite.errors import UserError
from tsd_keras.pseudo_labels import probabilities, pseudo_labels


class Given(keras.layers.Layer):
    """Answers with its input: the teacher's logits are the data."""

    def call(self, inputs):
        return 1.0 * inputs


@pytest.fixture(scope="module")
def teacher():
    inputs = keras.Input((4,))
    return keras.Model(inputs, Given()(inputs))


def logits(samples=400, seed=0):
    """Four classes, each answered in two manners: surely, and with a second thought."""
    rng = np.random.default_rng(seed)
    answers = np.arange(samples) % 4
    values = rng.normal(scale=0.05, size=(samples, 4))
    values[np.arange(samples), answers] += 4
    hesitant = (np.arange(samples) // 4) % 2 == 1
    values[hesitant, (answers[hesitant] + 1) % 4] += 3
    return values.astype("float32"), answers, hesitant


def test_soft_labels_are_the_means_of_the_clusters_there_are(teacher):
    x, answers, hesitant = logits()
    labels = pseudo_labels(teacher, x, k=2)
    wanted = softmax(x.astype("float64"), axis=-1)
    assert labels.shape == (400, 4) and labels.dtype == "float32"
    for answer in range(4):
        for manner in (False, True):
            members = (answers == answer) & (hesitant == manner)
            np.testing.assert_allclose(
                labels[members], wanted[members].mean(0)[None].repeat(50, 0), rtol=1e-5
            )
    np.testing.assert_array_equal(labels, pseudo_labels(teacher, x, k=2))
    # One cluster: the class's mean, whatever the manner.
    single = pseudo_labels(teacher, x, k=1)
    assert (np.ptp(single[answers == 2], axis=0) == 0).all()
    np.testing.assert_allclose(single[answers == 2][0], wanted[answers == 2].mean(0), rtol=1e-5)


def test_synthetic_labels_have_the_clusters_mean_and_spread(teacher):
    rng = np.random.default_rng(1)
    drawn = rng.dirichlet([12, 3, 2, 3], 4000)
    drawn = drawn[drawn.argmax(-1) == 0]
    labels = pseudo_labels(teacher, np.log(drawn).astype("float32"), k=1, kind="synthetic", seed=3)
    assert (labels >= 0).all()
    np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(labels.mean(0), drawn.mean(0), atol=0.01)
    np.testing.assert_allclose(labels.var(0).sum(), drawn.var(0).sum(), rtol=0.1)
    assert len(np.unique(labels, axis=0)) == len(labels)
    other = pseudo_labels(teacher, np.log(drawn).astype("float32"), k=1, kind="synthetic", seed=4)
    assert (labels != other).any()


def test_equal_and_few_predictions_make_fewer_clusters(teacher):
    x = np.repeat(np.array([[3, 0, 0, 0], [0, 2, 0, 0]], "float32"), 5, axis=0)
    for kind in ("soft", "synthetic"):
        np.testing.assert_allclose(pseudo_labels(teacher, x, 8, kind), softmax(x, axis=-1), rtol=1e-5)


def test_probabilities_do_not_depend_on_the_model_s_end():
    x, _ = small_models.vectors()
    ends = [small_models.dense_model("m", 8, end) for end in ("logits", "softmax")]
    ends[1].set_weights(ends[0].get_weights())
    found = [probabilities(model, x, batch_size=10) for model in ends]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    np.testing.assert_allclose(found[0], softmax(ends[0](x).numpy(), axis=-1), rtol=1e-4)
    halved = probabilities(ends[0], 2 * x, lambda batch: batch / 2)
    np.testing.assert_allclose(halved, found[0], rtol=1e-4)


def test_faults_are_explained(teacher):
    x = logits(8)[0]
    with pytest.raises(ValueError, match="kind must be"):
        pseudo_labels(teacher, x, kind="hard")
    with pytest.raises(ValueError, match="positive integer, got 0"):
        pseudo_labels(teacher, x, k=0)
    x[3] = np.nan
    with pytest.raises(UserError, match="1 of 8 samples with NaN"):
        pseudo_labels(teacher, x)
