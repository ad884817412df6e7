import numpy as np
import pytest

from tflite.errors import UserError
from tsd_keras import config, data
from tsd_keras.data import arrays, augmentation
from tsd_keras.data.batches import Batches
from tsd_keras.data.views import Views


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
    y = np.eye(4, dtype="float32")[y]
    settings = config.Augmentation(flip=True, shift=1, cutout=2, mixup=0.4)

    def batch(seed, epoch, index):
        batches = Batches(Views(x, seed, settings), y, 8, seed)
        batches.clock.on_epoch_begin(epoch)
        return batches[index]

    np.testing.assert_array_equal(batch(1, 3, 2)[0], batch(1, 3, 2)[0])
    for other in [(2, 3, 2), (1, 4, 2), (1, 3, 1)]:
        assert (batch(*other)[0] != batch(1, 3, 2)[0]).any()
    images, labels = batch(1, 3, 2)
    assert images.shape == (8, 4, 4, 1) and images.dtype == labels.dtype == "float32"
    np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-6)


def test_an_epoch_sees_every_sample_once_and_views_take_turns():
    x, _ = good()
    batches = Batches(Views(x), None, 8, seed=0)
    seen = np.concatenate([batches[index][0] for index in range(len(batches))])
    assert {row.tobytes() for row in seen} == {row.tobytes() for row in x}
    shown = []
    batches = Batches(Views(x, 0, config.Augmentation(shift=1)), None, 40, seed=0, cycle=3)
    for _ in range(6):
        shown.append({row.tobytes() for row in batches[0][0]})
        batches.on_epoch_end()
    assert shown[:3] == shown[3:] and shown[0] != shown[1] != shown[2]


def test_processes_share_every_batch():
    x, y = good()
    whole = Batches(Views(x), y, 8, seed=3)[1]
    parts = [Batches(Views(x), y, 8, seed=3, share=(index, 2))[1] for index in range(2)]
    for first, second, both in zip(*parts, whole, strict=True):
        np.testing.assert_array_equal(np.concatenate([first, second]), both)
    with pytest.raises(ValueError, match="8 samples cannot be shared evenly by 3"):
        Batches(Views(x), y, 8, seed=3, share=(0, 3))


def test_a_view_follows_from_seed_sample_and_view_alone():
    x, y = good()
    y = np.eye(4, dtype="float32")[y]
    settings = config.Augmentation(flip=True, shift=1, cutout=2, mixup=0.4)
    views = Views(x, 7, settings)
    together = views(np.arange(40), 2, y)
    views(np.arange(40), 5)
    for sample in (0, 17, 39):
        for one, all_of_them in zip(views(np.array([sample]), 2, y), together, strict=True):
            np.testing.assert_array_equal(one[0], all_of_them[sample])
    # Without mixup, whose partner may be any sample, a larger set has the same first views.
    alone = settings.model_copy(update={"mixup": 0.0})
    first = Views(x[:10], 7, alone)(np.arange(10), 2)[0]
    np.testing.assert_array_equal(first, Views(x, 7, alone)(np.arange(10), 2)[0])
    assert (Views(x, 8, settings)(np.arange(40), 2)[0] != together[0]).any()


def test_mixup_blends_two_samples_of_the_same_view():
    x, y = good()
    y = np.eye(4, dtype="float32")[y]
    pure = Views(x, 1, config.Augmentation(shift=1))(np.arange(40), 3)[0].reshape(40, -1)
    mixed, labels = Views(x, 1, config.Augmentation(shift=1, mixup=1.0))(np.arange(40), 3, y)
    partners = set()
    for own, image, label, own_label in zip(pure, mixed.reshape(40, -1), labels, y, strict=True):
        # image = s * own + (1 - s) * other, for one of the others
        fits = [np.linalg.lstsq(np.stack([own, other], 1), image, rcond=None) for other in pure]
        best = min(range(40), key=lambda i: fits[i][1][0] if fits[i][1].size else np.inf)
        share, rest = fits[best][0]
        if fits[best][1].size and fits[best][1][0] < 1e-8:
            partners.add(best)
            assert share + rest == pytest.approx(1, abs=1e-3) and share >= 0.5 - 1e-3
            np.testing.assert_allclose(label, share * own_label + rest * y[best], atol=1e-3)
    assert len(partners) > 20


def test_augmentations_move_mirror_and_cover():
    image = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    pair = np.concatenate([image[:, ::-1], image])
    for mirrored in (False, True):
        expected = image[:, :, ::-1] if mirrored else image
        padded = np.pad(expected, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        for top in range(3):
            for left in range(3):
                draws = map(np.array, ([1], [mirrored], [top], [left]))
                moved = augmentation.moved(pair, *draws, 1)
                assert (moved == padded[:, top : top + 4, left : left + 4]).all()
        still = augmentation.moved(pair, *map(np.array, ([1], [mirrored], [0], [0])), 0)
        assert (still == expected).all()
    with pytest.raises(UserError, match="augmentation.shift is for images"):
        Views(np.zeros((5, 20, 3)), 0, config.Augmentation(shift=2))
    holed = augmentation.cutout(image, np.array([0]), np.array([2]), 3)
    assert set(zip(*(holed != image)[0, ..., 0].nonzero(), strict=True)) == {
        (row, column) for row in (0, 1) for column in (1, 2, 3)
    }


def test_half_of_the_views_are_mirrored():
    x = np.arange(6000, dtype="float32").reshape(3000, 1, 2, 1)
    shown = Views(x, 0, config.Augmentation(flip=True))(np.arange(3000), 0)[0][:, 0, :, 0]
    assert abs((shown[:, 0] > shown[:, 1]).mean() - 0.5) < 0.05


def test_anomalies_stand_in_the_test_split_alone(tmp_path):
    loaded = data.load(config.Data(labels="anomaly", normal=["3", "8"]))
    whole = data.load(config.Data())
    assert loaded.y_train is None and loaded.y_validation is None
    assert len(loaded.x_train) == np.isin(whole.y_train, (3, 8)).sum()
    np.testing.assert_array_equal(loaded.y_test, ~np.isin(whole.y_test, (3, 8)))
    np.testing.assert_array_equal(loaded.targets("train"), loaded.x_train.reshape(-1, 64))
    assert loaded.outputs == 64 and loaded.class_names == ("normal", "anomaly")

    x = np.random.default_rng(0).random((40, 6)).astype("float32")
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x, y_test=np.arange(40) % 2)
    given = data.load(config.Data(source="npz", path=str(tmp_path / "a.npz"), labels="anomaly"))
    assert given.y_test.tolist() == [0, 1] * 20 and len(given.x_train) + len(given.x_validation) == 40

    np.savez(tmp_path / "b.npz", x_train=x)
    names = {"class_names": ["well", "broken"]}
    with pytest.raises(UserError, match="give y_test, 0 for normal"):
        data.load(config.Data(source="npz", path=str(tmp_path / "b.npz"), labels="anomaly", **names))
    with pytest.raises(UserError, match="'eleven' is no class; choose from 0, 1"):
        data.load(config.Data(labels="anomaly", normal=["eleven"]))
    with pytest.raises(ValueError, match="normal belongs to labels: anomaly"):
        config.Data(normal=["3"])
