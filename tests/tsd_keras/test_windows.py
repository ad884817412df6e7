import csv

import numpy as np
import pytest

from tflite.errors import UserError
from tsd_keras import config, data

STEPS = 50


def section(path, **values):
    settings = {"window": 10, "stride": 5, "test_fraction": 0.25, "validation_fraction": 0.34} | values
    return config.Data(source="windows", path=str(path), **settings)


def signals(recordings=12):
    """Channel 0 numbers the recording, channel 1 the step: every window tells where it is from."""
    recording = np.repeat(np.arange(recordings), STEPS)
    x = np.stack([recording, np.tile(np.arange(STEPS), recordings)], axis=1).astype("float32")
    return x, recording % 3, recording


def saved(tmp_path, **values):
    np.savez(tmp_path / "s.npz", **values)
    return tmp_path / "s.npz"


def parts(loaded):
    return (
        (loaded.x_train, loaded.y_train),
        (loaded.x_validation, loaded.y_validation),
        (loaded.x_test, loaded.y_test),
    )


def test_windows_of_one_recording_never_lie_in_two_splits(tmp_path):
    x, y, recording = signals()
    loaded = data.load(section(saved(tmp_path, x=x, y=y, recording=recording)))
    seen = [set(split[:, 0, 0]) for split, _ in parts(loaded)]
    assert sum(map(len, seen)) == 12 and set.union(*seen) == set(range(12))
    # A quarter of the recordings is tested on, and every class is in every split.
    assert len(seen[2]) == 3 and all(set(labels) == {0, 1, 2} for _, labels in parts(loaded))
    for split, labels in parts(loaded):
        assert split.shape[1:] == (10, 2) and split.dtype == "float32"
        assert (split[:, :, 0] == split[:, :1, 0]).all() and (split[:, 0, 0] % 3 == labels).all()
        assert (np.diff(split[:, :, 1], axis=1) == 1).all() and (split[:, 0, 1] % 5 == 0).all()
    assert sum(len(split) for split, _ in parts(loaded)) == 12 * 9
    other = data.load(section(tmp_path / "s.npz", split_seed=5))
    assert other.fingerprint != loaded.fingerprint
    assert loaded.fingerprint == data.load(section(tmp_path / "s.npz")).fingerprint


def test_no_window_spans_two_labels_and_labels_may_be_missing(tmp_path):
    x, _, recording = signals()
    late = (x[:, 1] >= 23).astype(int)
    loaded = data.load(section(saved(tmp_path, x=x, y=late, recording=recording), stride=1))
    for split, labels in parts(loaded):
        assert ((split[:, 0, 1] >= 23) == labels).all() and ((split[:, -1, 1] >= 23) == labels).all()
    assert sum(len(split) for split, _ in parts(loaded)) == 12 * (14 + 18)
    names = {"class_names": ["a", "b"]}
    assert data.load(section(saved(tmp_path, x=x, recording=recording), **names)).y_train is None


def test_csv_and_three_axes_hold_the_same_as_the_flat_arrays(tmp_path):
    x, y, recording = signals()
    flat = data.load(section(saved(tmp_path, x=x, y=y, recording=recording)))
    cube = saved(tmp_path, x=x.reshape(12, STEPS, 2), y=y.reshape(12, STEPS)[:, 0])
    np.testing.assert_array_equal(data.load(section(cube)).x_train, flat.x_train)
    with open(tmp_path / "s.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "a", "label", "b"])
        # Zero-padded: recordings come in the order of their names.
        writer.writerows(
            [f"r{number:02}", row[0], ("walk", "run", "rest")[label], row[1]]
            for row, label, number in zip(x, y, recording, strict=True)
        )
    loaded = data.load(section(tmp_path / "s.csv", class_names=["walk", "run", "rest"]))
    np.testing.assert_array_equal(loaded.x_train, flat.x_train)
    np.testing.assert_array_equal(loaded.y_train, flat.y_train)
    assert data.load(section(tmp_path / "s.csv")).class_names == ("rest", "run", "walk")


def test_faults_name_what_is_missing(tmp_path):
    x, y, recording = signals()
    (tmp_path / "bad.csv").write_text("recording,a\n1,0.5\n1,half\n")
    (tmp_path / "headless.csv").write_text("1,2\n3,4\n")
    for path, more, fault in [
        (saved(tmp_path, x=x, y=y), {}, "array 'recording'"),
        (tmp_path / "bad.csv", {}, "row 3: .*half"),
        (tmp_path / "headless.csv", {}, "columns 1, 2 and 1 rows"),
        (tmp_path / "x.wav", {}, "neither .npz nor .csv"),
        (tmp_path / "missing.csv", {}, "cannot be read"),
    ]:
        with pytest.raises(UserError, match=fault):
            data.load(section(path, **more))
    path = saved(tmp_path, x=x, y=y, recording=recording)
    for more, fault in [
        ({"window": None}, "data.window is missing"),
        ({"window": 51}, "holds 51 steps.*longest has 50"),
        ({"test_fraction": 0.99}, "leaves a split empty"),
    ]:
        with pytest.raises(UserError, match=fault):
            data.load(section(path, **more))
    lonely = np.where(recording == 4, 1, np.where(y > 0, y + 1, 0))
    path = saved(tmp_path, x=x, y=lonely, recording=recording)
    with pytest.raises(UserError, match="label 1 fell to the held-out"):
        for seed in range(20):
            data.load(section(path, split_seed=seed))
