"""Trains a student with every kind of term and writes its weights: run once per backend or strategy.

It trains under every balance.

Usage: python train_and_dump.py OUTPUT.npz [--replicas N] [--coupled] [--drop-channels]
"""

import argparse
import contextlib

import keras
import numpy as np
from small_models import image_model, images

from tsd_keras import (
    CorrelatedSoftLabels,
    DecoupledSoftLabels,
    DenseKernel,
    Distiller,
    LogitDistance,
    SoftLabels,
    StandardizedSoftLabels,
    Tap,
)
from tsd_keras.channel_dropping import ChannelDropping


def same_weights_everywhere(model, seed):
    rng = np.random.default_rng(seed)
    model.set_weights([0.3 * rng.normal(size=weight.shape) ** 2 for weight in model.get_weights()])


def strategy_scope(replicas):
    if replicas == 1:
        return contextlib.nullcontext()
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        virtual = [tf.config.LogicalDeviceConfiguration()] * replicas
        tf.config.set_logical_device_configuration(cpu, virtual)
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)]).scope()


def every_loss(coupled):
    losses = [SoftLabels("auto"), StandardizedSoftLabels(), DecoupledSoftLabels(2.0), LogitDistance()]
    losses += [
        Tap("stage1_out"),
        Tap("backbone/stage2_out", kernel=DenseKernel("nonlinear", kernel_update_rate=0.3)),
        Tap("stage1_out", kernel=DenseKernel("identity", "attention_transfer"), name="attention"),
        Tap("conv1", match="weights"),
    ]
    if coupled:
        losses += [CorrelatedSoftLabels(2.0)]
        losses += [
            Tap("stage1_out", kernel=DenseKernel("identity", loss), name=loss)
            for loss in ("similarity_preserving", "pkt", "correlation")
        ]
    return losses


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--coupled", action="store_true", help="with what couples a batch's samples")
    parser.add_argument("--drop-channels", action="store_true")
    balances = ["fixed", "gradient_shares", "uncertainty"]
    parser.add_argument("--balances", nargs="+", choices=balances, default=balances)
    arguments = parser.parse_args()
    arrays = {}
    for balance in arguments.balances:
        arrays |= {f"{balance}/{name}": values for name, values in trained(balance, arguments).items()}
    np.savez(arguments.output, **arrays)


def trained(balance, arguments):
    """Weights and history of a training under one balance."""
    x, y = images(64)
    y[::5] = -1  # no label
    weight = np.linspace(0.5, 1.5, 64).astype("float32")
    batch_norm = arguments.coupled or arguments.drop_channels
    weights = {"student_loss_weight": 0.3} if balance == "fixed" else {"balance": balance}
    with strategy_scope(arguments.replicas):
        teacher = image_model("teacher", 6, end="softmax", dropout=0.3, batch_norm=batch_norm)
        student = image_model("student", 3, batch_norm=batch_norm)
        student.get_layer("head").kernel.regularizer = keras.regularizers.L2(0.1)
        distiller = Distiller(teacher, student, every_loss(arguments.coupled), **weights)
        distiller.compile(
            # Small steps: under all these terms at once larger ones diverge, and rounding with them.
            keras.optimizers.SGD(2e-4, momentum=0.9),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=["accuracy"],
        )
    for seed, model in enumerate([teacher, student, *distiller.dense_kernels]):
        same_weights_everywhere(model, seed)
    callbacks = [ChannelDropping(0.5, start=0.0)] if arguments.drop_channels else []
    history = distiller.fit(
        x, y, sample_weight=weight, batch_size=16, epochs=3, shuffle=False, verbose=0, callbacks=callbacks
    ).history
    arrays = {f"weight{i}": value for i, value in enumerate(distiller.get_weights())}
    return arrays | {name: np.array(values) for name, values in history.items()}


if __name__ == "__main__":
    main()
