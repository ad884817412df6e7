import numpy as np
import pytest

from tflite.errors import UserError
from tsd_keras import config, data
from tsd_keras.data import arrays, augmentation
from tsd_keras.data.batches import Batches


def section(**values):
    return config.Data(**values)


def saved(tmp_path, **values):
    path = tmp_path / "d.npz"
    np.savez(path, **values)
    return section(source="npz", path=str(path))


def good(samples=40):
    rng = np.random.default_rng(0)
    return rng.random((samples, 4, 4, 1), "float32"), np.arange(samples) % 4


def test_digits_are_scikit_learn_s_images_in_three_disjoint_balanced_splits():
    loaded = data.load(section())
    x = np.concatenate([loaded.x_train, loaded.x_validation, loaded.x_test])
    assert x.shape == (1797, 8, 8, 1) and x.dtype == "float32" and x.max() == 1.0
    rows = {row.tobytes() for row in x}
    from sklearn.datasets import load_digits

    assert len(rows) == len({image.tobytes() for image in load_digits().images})
    shares = np.bincount(loaded.y_test) / np.bincount(np.concatenate([loaded.y_train, loaded.y_validation]))
    assert np.ptp(shares) < 0.03
    assert loaded.fingerprint == data.load(section()).fingerprint
    assert loaded.fingerprint != data.load(section(split_seed=1)).fingerprint


def test_limits_and_calibration_are_class_balanced(tmp_path):
    x, y = good(400)
    y = np.where(np.arange(400) < 100, np.arange(400) % 4, 0)
    loaded = data.load(saved(tmp_path, x_train=x, y_train=y).model_copy(update={"train_limit": 40}))
    assert np.bincount(loaded.y_train).tolist() == [10, 10, 10, 10]
    labels = loaded.y_train[arrays.balanced(loaded.y_train, 8, 3)]
    assert np.bincount(labels).tolist() == [2, 2, 2, 2]


def test_faulty_arrays_are_explained(tmp_path):
    x, y = good()
    with_nan = x.copy()
    with_nan[7, 0] = np.nan
    wrong = y.copy()
    wrong[5] = 9
    names = {"class_names": ["a", "b", "c", "d"]}
    for values, more, fault in [
        ({"x_train": with_nan, "y_train": y}, {}, "NaN.*in 1 of 40.*index 7"),
        ({"x_train": x, "y_train": wrong}, names, "label 9 at index 5; with 4 classes"),
        ({"x_train": x, "y_train": y - 1}, {}, "label -1 at index 0"),
        ({"x_train": x, "y_train": y[:-1]}, {}, "40 samples and y_train 39"),
        ({"x_train": x, "y_train": y + 0.5}, {}, "integer class numbers"),
        ({"x_train": x[:, 0, 0, 0], "y_train": y}, {}, "shape"),
        ({"x_train": x}, {}, "no array 'y_train'.*list data.class_names"),
        ({"y_train": y}, {}, "no array 'x_train'. It has: y_train"),
        ({"x_train": x, "y_train": y - 1}, {"missing_label": -2}, "label -1.*data.missing_label=-1"),
        ({"x_train": x, "y_train": y}, {"labels": "multi_label"}, "0 and 1"),
        ({"x_train": x, "y_train": np.eye(4)[y]}, {}, "set data.labels to multi_label"),
        ({"x_train": x, "y_train": y, "x_test": x}, {}, "only one of x_test and y_test"),
        ({"x_train": x.astype(object), "y_train": y}, {}, "cannot be read"),
    ]:
        with pytest.raises(UserError, match=fault):
            data.load(saved(tmp_path, **values).model_copy(update=more))


def test_labels_may_be_missing_several_or_numbers(tmp_path):
    x, y = good(200)
    names = {"class_names": ["a", "b", "c", "d"]}
    unlabelled = data.load(saved(tmp_path, x_train=x).model_copy(update=names))
    assert unlabelled.y_train is None and unlabelled.targets("train") is None and unlabelled.classes == 4
    assert len(unlabelled.x_test) == 60 and len(unlabelled.calibration(10, 0)) == 10
    assert unlabelled.fingerprint != data.load(saved(tmp_path, x_train=x, y_train=y)).fingerprint

    gone = np.where(np.arange(200) % 2, y, -1)
    mixed = data.load(saved(tmp_path, x_train=x, y_train=gone).model_copy(update={"missing_label": -1}))
    assert (mixed.y_train == -1).sum() == 100 and (mixed.y_test >= 0).all()
    targets = mixed.targets("train")
    assert (np.isnan(targets).all(-1) == (mixed.y_train == -1)).all()
    assert (targets[mixed.y_train >= 0].argmax(-1) == mixed.y_train[mixed.y_train >= 0]).all()

    several = np.stack([y == 0, y > 1], axis=1)
    loaded = data.load(
        saved(tmp_path, x_train=x, y_train=several).model_copy(update={"labels": "multi_label"})
    )
    assert loaded.classes == 2 and loaded.targets("test").shape == (60, 2)
    loaded = data.load(
        saved(tmp_path, x_train=x, y_train=x.mean((1, 2, 3))).model_copy(update={"labels": "values"})
    )
    assert loaded.classes == 1
    np.testing.assert_allclose(loaded.targets("train")[:, 0], loaded.x_train.mean((1, 2, 3)), rtol=1e-5)


def test_faulty_files_are_explained(tmp_path):
    for content, fault in [(b"", "is empty"), (b"PK\x03\x04 broken", "cannot be read"), (None, "no file")]:
        path = tmp_path / "x.npz"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=fault):
            data.load(section(source="npz", path=str(path)))
    with pytest.raises(UserError, match="data.path is missing"):
        data.load(section(source="npz"))


def test_a_batch_follows_from_seed_epoch_and_index_alone():
    x, y = good()
    settings = config.Augmentation(flip=True, shift=1, cutout=2, mixup=0.4)

    def batch(seed, epoch, index):
        batches = Batches(x, y, 4, 8, seed, settings)
        batches.clock.on_epoch_begin(epoch)
        return batches[index]

    np.testing.assert_array_equal(batch(1, 3, 2)[0], batch(1, 3, 2)[0])
    for other in [(2, 3, 2), (1, 4, 2), (1, 3, 1)]:
        assert (batch(*other)[0] != batch(1, 3, 2)[0]).any()
    images, labels = batch(1, 3, 2)
    assert images.shape == (8, 4, 4, 1) and images.dtype == labels.dtype == "float32"
    np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-6)


def test_an_epoch_sees_every_sample_once():
    x, y = good()
    batches = Batches(x, y, 4, 8, 0, config.Augmentation())
    seen = np.concatenate([batches[index][0] for index in range(len(batches))])
    assert {row.tobytes() for row in seen} == {row.tobytes() for row in x}


def test_augmentations_move_mirror_and_cover():
    image = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    views = {augmentation.flip(image, np.random.default_rng(i)).tobytes() for i in range(20)}
    assert views == {image.tobytes(), image[:, :, ::-1].tobytes()}
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    possible = {padded[:, i : i + 4, j : j + 4].tobytes() for i in range(3) for j in range(3)}
    views = {augmentation.shift(image, np.random.default_rng(i), 1).tobytes() for i in range(80)}
    assert views == possible
    holed = augmentation.cutout(image, np.random.default_rng(1), 3)
    assert 0 < (holed != image).sum() <= 9
