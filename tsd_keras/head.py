"""The last layer of a classifier, made anew for other classes."""

import keras

from tflite.errors import UserError


def with_head(model: keras.Model, classes: int) -> keras.Model:
    """A copy of a classifier that ends in the logits of `classes` classes.

    All weights are copied; those of the last layer too where the number of classes is the same. A closing
    softmax or sigmoid is left out.

    Args:
        model: A functional or sequential model whose last layer with weights is `Dense`.
        classes: Number of classes.

    Raises:
        UserError: If the model ends in anything else.
    """
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    outputs = getattr(copy, "outputs", None) or []
    layer = outputs[0]._keras_history.operation if len(outputs) == 1 else None
    while isinstance(layer, (keras.layers.Softmax, keras.layers.Activation)):
        layer = layer.input._keras_history.operation
    if not isinstance(layer, keras.layers.Dense):
        found = "several outputs or none" if layer is None else f"{type(layer).__name__} {layer.name!r}"
        raise UserError(
            f"The model {model.name!r} ends in {found}; a new head can be given to a functional or "
            "sequential model that ends in Dense, with or without softmax."
        )
    settings = layer.get_config() | {"units": classes, "activation": "linear"}
    head = keras.layers.Dense.from_config(settings)
    logits = head(layer.input)
    if layer.units == classes:
        head.set_weights(layer.get_weights())
    return keras.Model(copy.inputs[0] if len(copy.inputs) == 1 else copy.inputs, logits, name=model.name)
