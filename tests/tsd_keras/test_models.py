import json

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from tflite.errors import UserError
from tsd_keras import evaluation, loading, models


def test_resnet8_has_the_size_of_mlperf_tiny_s_reference():
    assert models.build("resnet", input_shape=(32, 32, 3), classes=10).count_params() == 78_666
    half = models.build("resnet", input_shape=(32, 32, 3), classes=10, widths=(8, 16, 32))
    assert half.count_params() == 20_266
    assert half.get_layer("stage3_out").output.shape == (None, 8, 8, 32)


def test_unknown_models_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'resnet'"):
        models.build("resnett")


def small():
    return keras.Sequential([keras.Input((4, 4, 2)), layers.DepthwiseConv2D(3, name="dw"), layers.Flatten()])


def test_keras_and_legacy_files_load(tmp_path):
    model, x = small(), np.ones((1, 4, 4, 2), "float32")
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        loaded = loading.load_model(tmp_path / name)
        np.testing.assert_allclose(loaded(x), model(x))


def test_legacy_depthwise_layers_with_groups_load(tmp_path):
    model, path = small(), tmp_path / "m.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        text = json.loads(file.attrs["model_config"])
        for layer in text["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(text)
    with pytest.raises(Exception, match="groups"):
        keras.models.load_model(path, compile=False)
    x = np.ones((1, 4, 4, 2), "float32")
    np.testing.assert_allclose(loading.load_model(path)(x), model(x))


def test_files_that_are_no_models_are_explained(tmp_path):
    model = small()
    model.save(tmp_path / "whole.keras")
    whole = (tmp_path / "whole.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.keras").write_bytes(b"")
    (tmp_path / "text.h5").write_bytes(b"hello" * 100)
    (tmp_path / "model.onnx").write_bytes(b"hello")
    model.save_weights(tmp_path / "only.weights.h5")
    for name, fault in [
        ("half.keras", "truncated"),
        ("empty.keras", "is empty"),
        ("text.h5", "cannot be loaded"),
        ("model.onnx", "give a .keras or .h5"),
        ("missing.keras", "no model file"),
        ("only.weights.h5", "weights only"),
    ]:
        with pytest.raises(UserError, match=fault):
            loading.load_model(tmp_path / name)


def test_metrics_are_scikit_learn_s():
    scores = np.array([[3, 1], [0, 2], [5, 4], [1, 9]], "int8")
    found = evaluation.classification(np.array([0, 1, 1, 1]), scores)
    assert found["accuracy"] == 0.75 and found["recall"] == pytest.approx((1 + 2 / 3) / 2)
