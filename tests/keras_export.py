"""Writes tests/keras_export: a small Keras model and what iNNvestigate says of it. Run it where both are installed:

PYTHONPATH=conformance python tests/keras_export.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from lrp_conform.compare import export_keras

FOLDER = Path(__file__).with_name("keras_export")


def model() -> tf.keras.Model:
    """Convolution, batch norm, a residual sum, pooling, dense; channels last."""
    layers, random = tf.keras.layers, tf.keras.initializers
    spread = {"bias_initializer": random.RandomNormal(stddev=0.3, seed=1)}
    norm = layers.BatchNormalization(
        name="norm",
        gamma_initializer=random.RandomUniform(0.5, 2, 1),
        beta_initializer=random.RandomNormal(stddev=0.3, seed=2),
        moving_mean_initializer=random.RandomNormal(stddev=0.3, seed=3),
        moving_variance_initializer=random.RandomUniform(0.5, 2, 4),
    )
    x = tf.keras.Input((8, 8, 2), name="image")
    h = layers.Activation("relu", name="act")(norm(layers.Conv2D(3, 3, name="conv_a", **spread)(x)))
    side = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv_b", **spread)(h)
    h = layers.Flatten(name="flat")(layers.AveragePooling2D(name="pool")(layers.Add(name="plus")([h, side])))
    return tf.keras.Model(x, layers.Dense(4, name="logits", **spread)(h))


if __name__ == "__main__":
    tf.compat.v1.disable_eager_execution()  # which iNNvestigate asks for
    tf.keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype(np.float32)
    print(export_keras(model(), x, FOLDER, "lrp.sequential_preset_a"))
