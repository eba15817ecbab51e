"""A program: python keras_to_onnx.py MODEL.h5 MODEL.onnx. It needs TensorFlow and tf2onnx, and nothing of this package."""

import os
import sys

OPSET = 17
FUSING = "remove_back_to_back"  # tf2onnx's optimizer that merges batch norms into convolutions


def main(source: str, target: str) -> None:
    """Convert with every optimizer but the one that merges batch norms."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tf2onnx
    from tf2onnx import optimizer

    model = tf.keras.models.load_model(source, compile=False)
    kept = {name: each for name, each in optimizer._get_optimizers().items() if name != FUSING}
    tf2onnx.convert.from_keras(model, opset=OPSET, optimizers=kept, output_path=target)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")
