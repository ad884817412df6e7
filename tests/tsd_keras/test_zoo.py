"""The zoo: sizes of the papers and references, arguments, and a flatbuffer that TFLM runs."""

import os
import pathlib

import keras
import numpy as np
import pytest

from tflite import convert, engines, graph, operators
from tflite.errors import UserError
from tsd_keras import config, loading, models

REFERENCES = [
    # MLPerf Tiny's four, as its training scripts count them
    ("resnet8", (32, 32, 3), 10, {}, 78_666),
    ("ds_cnn", (49, 10, 1), 12, {}, 24_908),
    ("mobilenet_v1", (96, 96, 3), 2, {}, 221_794),
    ("autoencoder", (640,), None, {}, 269_992),
    # torchvision's resnet18: 11,689,512 trained and 9,600 running statistics
    ("resnet18", (224, 224, 3), 1000, {}, 11_689_512 + 9_600),
    # keras.applications.MobileNet(alpha=1): 4,253,864, plus biases its convolutions leave out,
    # which BatchNormalization makes idle: the same channels
    ("mobilenet_v1", (224, 224, 3), 1000, {"width": 1.0}, 4_253_864 + 10_944),
]


@pytest.mark.parametrize("name, shape, classes, arguments, parameters", REFERENCES)
def test_sizes_are_the_references(name, shape, classes, arguments, parameters):
    model = models.build(name, input_shape=shape, classes=classes, **arguments)
    assert model.count_params() == parameters


@pytest.mark.parametrize("name, millions", [("resnet20", 0.27), ("resnet32", 0.46)])
def test_cifar_resnets_have_the_paper_s_size(name, millions):
    parameters = models.build(name, input_shape=(32, 32, 3), classes=10).count_params()
    assert parameters == pytest.approx(1e6 * millions, rel=0.03)


TINY = {
    "resnet": ((8, 8, 1), {"widths": [4, 6]}),
    "resnet8": ((8, 8, 1), {"widths": [4]}),
    "resnet20": ((8, 8, 1), {"widths": [4]}),
    "resnet32": ((8, 8, 1), {"widths": [2]}),
    "resnet18": ((16, 16, 3), {"widths": [4, 6], "blocks": 1}),
    "mobilenet_v1": ((32, 32, 3), {"width": 0.05}),
    "ds_cnn": ((12, 8, 1), {"width": 6, "blocks": 1}),
    "autoencoder": ((12,), {"widths": [8], "bottleneck": 3}),
    "mlp": ((4, 4, 1), {"widths": [8]}),
    "temporal_cnn": ((16, 3), {"widths": [4, 6], "kernel_size": 3}),
}
# One of each kind of block: the other names build the same ones.
EXPORTED = ["resnet", "resnet18", "mobilenet_v1", "ds_cnn", "autoencoder", "mlp", "temporal_cnn"]


def tiny(name):
    shape, arguments = TINY[name]
    keras.utils.set_random_seed(1)
    return models.build(name, input_shape=shape, classes=3, **arguments)


@pytest.mark.parametrize("name", EXPORTED)
def test_int8_forms_run_on_tflm_and_agree_with_keras(name):
    model = tiny(name)
    x = np.random.default_rng(0).normal(size=(8, *model.input_shape[1:])).astype("float32")
    data = convert.convert(model, "int8", x)
    operators.check(graph.read(data))
    expected = model.predict(x, verbose=0)
    for engine in engines.available():
        opened = engines.open_engine(data, engine)
        found = opened.output.dequantize(opened.run(x)).reshape(expected.shape)
        assert np.abs(found - expected).mean() < 0.1 * expected.std(), engine


def test_every_model_builds_from_a_config_s_section():
    assert set(TINY) == set(models.MODELS)
    for name, (shape, arguments) in TINY.items():
        section = config.Student(model=name, **arguments)
        assert section.arguments | arguments == section.arguments
        assert models.build(section.model, input_shape=shape, classes=3, **section.arguments).built


@pytest.mark.parametrize(
    "section, fault",
    [
        ("{model: resnett}", "student: There is no model 'resnett'.*Did you mean 'resnet'"),
        ("{widht: [8]}", "student: resnet takes no 'widht'.*Did you mean 'widths'"),
        ("{model: resnet20, blocks: 2}", "resnet20 takes no 'blocks'; choose from widths"),
        ("{model: mlp, widths: [8, 0]}", r"mlp: widths\.1: .*greater than or equal to 1, found 0"),
        ("{model: mobilenet_v1, width: -1}", "mobilenet_v1: width: .*greater than 0, found -1"),
        ("{model: resnet18, stem: tiny}", "resnet18: stem: .*'large' or 'small'"),
    ],
)
def test_faulty_arguments_are_named(section, fault, tmp_path):
    (tmp_path / "c.yaml").write_text(f"student: {section}")
    with pytest.raises(UserError, match=fault):
        config.load(tmp_path / "c.yaml")


def test_a_config_without_models_has_the_small_and_the_large_resnet():
    loaded = config.Config()
    student = {"model": "resnet", "widths": [8, 16, 32], "blocks": 1, "derive": None}
    assert loaded.resolved()["student"] == student
    assert loaded.teacher.widths == [32, 64, 128]


def test_samples_of_another_rank_are_refused():
    for name, shape in [("resnet", (12,)), ("temporal_cnn", (8, 8, 1))]:
        with pytest.raises(UserError, match=f"{name} takes .* the data has"):
            models.build(name, input_shape=shape, classes=3)


@pytest.mark.skipif("TSD_MLPERF_TINY" not in os.environ, reason="TSD_MLPERF_TINY names no folder")
def test_resnet8_with_mlperf_tiny_s_weights_gives_its_outputs():
    reference = loading.load_model(pathlib.Path(os.environ["TSD_MLPERF_TINY"]) / "ic_resnet8.h5")
    model = models.build("resnet8", input_shape=(32, 32, 3), classes=10, end="softmax")

    def ordered(one):
        """Layers with weights by stage, kind and name: the order of building is not the file's."""

        def key(layer):
            return layer.output.shape[-1], type(layer).__name__, not layer.name.startswith("stem"), layer.name

        return sorted((layer for layer in one.layers if layer.weights), key=key)

    for ours, theirs in zip(ordered(model), ordered(reference), strict=True):
        ours.set_weights(theirs.get_weights())
    x = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), reference.predict(x, verbose=0), atol=1e-6)
