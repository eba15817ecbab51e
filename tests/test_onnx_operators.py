"""Every operator that `load_onnx` knows: the network returns what onnxruntime returns, on random inputs and two samples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import helper  # noqa: E402
from onnx_models import array, load, model, runtime, single  # noqa: E402

import lrp_ref as lrp  # noqa: E402
from lrp_ref.onnx.operators import OPERATORS  # noqa: E402

Int = lambda *values: np.asarray(values, np.int64)  # noqa: E731
W, BIAS = array(1, 4, 3, 3, 3), array(2, 4)
IMAGE, ROW = (3, 7, 6), (5,)
NORM = (array(3, 3), array(4, 3), array(5, 3), abs(array(6, 3)))
T = array(7, 3, 2, 3, 2)  # of a transposed convolution, in groups of one


def conv(*shape: int, **attributes: Any) -> Any:
    return single("Conv", IMAGE, array(1, *shape), array(2, shape[0]), **attributes)


def pool(kind: str, size: tuple[int, ...] = IMAGE, **attributes: Any) -> Any:
    return single(kind, size, **{"kernel_shape": [3] * (len(size) - 1)} | attributes)


def resize(scale: float, mode: str, nearest: str, opset: int = 13) -> Any:
    factors = np.asarray([1, 1, scale, scale], np.float32)
    options = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": nearest}
    return single("Resize", IMAGE, np.zeros(0, np.float32), factors, opset=opset, **options)


SINGLE: dict[str, Callable[[], Any]] = {
    "Gemm": lambda: single("Gemm", ROW, array(1, 5, 4), BIAS),
    "Gemm transB": lambda: single("Gemm", ROW, array(1, 4, 5), BIAS, transB=1),
    "Gemm alpha, beta, one bias": lambda: single("Gemm", ROW, array(1, 5, 4), array(2, 1), alpha=0.5, beta=2.0),
    "Gemm without bias": lambda: single("Gemm", ROW, array(1, 5, 4), opset=11),
    "Gemm opset 7": lambda: single("Gemm", ROW, array(1, 5, 4), array(2, 1, 4), opset=7),
    "MatMul": lambda: single("MatMul", ROW, array(1, 5, 4)),
    "MatMul on sequences": lambda: single("MatMul", (3, 5), array(1, 5, 4)),
    "Conv": lambda: conv(4, 3, 3, 3),
    "Conv stride, pads": lambda: conv(4, 3, 3, 2, strides=[2, 3], pads=[1, 0, 2, 1]),
    "Conv dilations, group": lambda: conv(6, 1, 2, 2, dilations=[2, 3], group=3, kernel_shape=[2, 2]),
    "Conv SAME_UPPER": lambda: conv(4, 3, 3, 2, strides=[2, 2], auto_pad="SAME_UPPER"),
    "Conv SAME_LOWER": lambda: conv(4, 3, 2, 3, strides=[2, 1], auto_pad="SAME_LOWER"),
    "Conv SAME_UPPER of pixels": lambda: conv(4, 3, 1, 1, strides=[2, 2], auto_pad="SAME_UPPER"),
    "Conv of pixels, pads": lambda: conv(4, 3, 1, 1, pads=[1, 0, 2, 1]),
    "Conv VALID": lambda: conv(4, 3, 2, 3, auto_pad="VALID"),
    "Conv of one axis": lambda: single("Conv", (3, 8), array(1, 4, 3, 3), pads=[1, 1]),
    "Conv of three axes": lambda: single("Conv", (2, 4, 5, 3), array(1, 4, 2, 2, 2, 2), BIAS, strides=[1, 2, 1]),
    "ConvTranspose": lambda: single("ConvTranspose", IMAGE, T, array(2, 2)),
    "ConvTranspose stride, pads": lambda: single(
        "ConvTranspose", IMAGE, T, strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 2], dilations=[2, 1]
    ),
    "ConvTranspose group": lambda: single("ConvTranspose", IMAGE, T, array(2, 6), group=3),
    "ConvTranspose output_shape": lambda: single("ConvTranspose", IMAGE, T, strides=[2, 2], output_shape=[14, 12]),
    "ConvTranspose output_shape upper": lambda: single(
        "ConvTranspose", IMAGE, T, strides=[2, 2], output_shape=[14, 11], auto_pad="SAME_UPPER"
    ),
    "ConvTranspose SAME_UPPER": lambda: single("ConvTranspose", IMAGE, T, strides=[2, 1], auto_pad="SAME_UPPER"),
    "ConvTranspose SAME_LOWER": lambda: single("ConvTranspose", IMAGE, T, strides=[2, 1], auto_pad="SAME_LOWER"),
    "MaxPool": lambda: pool("MaxPool"),
    "MaxPool stride, pads, dilations": lambda: pool("MaxPool", strides=[2, 1], pads=[1, 0, 2, 1], dilations=[2, 1]),
    "MaxPool ceil_mode": lambda: pool("MaxPool", strides=[3, 2], ceil_mode=1),
    "MaxPool SAME_UPPER": lambda: pool("MaxPool", strides=[2, 2], auto_pad="SAME_UPPER"),
    "MaxPool SAME_LOWER": lambda: pool("MaxPool", strides=[2, 2], kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
    "MaxPool opset 7": lambda: pool("MaxPool", strides=[2, 2], opset=7),
    "MaxPool of one axis": lambda: pool("MaxPool", (3, 8), strides=[2]),
    "MaxPool of three axes": lambda: pool("MaxPool", (2, 4, 5, 3)),
    "AveragePool": lambda: pool("AveragePool"),
    "AveragePool pads not counted": lambda: pool("AveragePool", strides=[2, 1], pads=[1, 0, 2, 1]),
    "AveragePool pads counted": lambda: pool("AveragePool", strides=[2, 1], pads=[1, 0, 2, 1], count_include_pad=1),
    "AveragePool ceil_mode": lambda: pool("AveragePool", strides=[3, 2], ceil_mode=1, opset=19),
    "AveragePool ceil_mode, pads not counted": lambda: pool(
        "AveragePool", strides=[3, 2], ceil_mode=1, pads=[1, 1, 1, 1], opset=19
    ),
    "AveragePool ceil_mode, pads counted": lambda: pool(
        "AveragePool", strides=[3, 2], ceil_mode=1, pads=[1, 1, 1, 1], count_include_pad=1, opset=19
    ),
    "AveragePool dilations": lambda: pool("AveragePool", kernel_shape=[2, 3], dilations=[3, 2], opset=19),
    "AveragePool SAME_LOWER": lambda: pool("AveragePool", strides=[2, 2], auto_pad="SAME_LOWER"),
    "AveragePool of one axis": lambda: pool("AveragePool", (3, 8), strides=[2], opset=7),
    "GlobalAveragePool": lambda: single("GlobalAveragePool", IMAGE),
    "GlobalMaxPool": lambda: single("GlobalMaxPool", IMAGE),
    "BatchNormalization": lambda: single("BatchNormalization", IMAGE, *NORM, epsilon=0.01),
    "BatchNormalization of rows": lambda: single("BatchNormalization", (3,), *NORM),
    "BatchNormalization opset 7": lambda: single("BatchNormalization", IMAGE, *NORM, opset=7),
    "LRN": lambda: single("LRN", IMAGE, size=3, alpha=0.5, beta=0.75, bias=2.0),
    "LRN wider than the channels": lambda: single("LRN", IMAGE, size=9, alpha=0.5),
    "Relu": lambda: single("Relu", IMAGE),
    "LeakyRelu": lambda: single("LeakyRelu", IMAGE),
    "LeakyRelu alpha": lambda: single("LeakyRelu", IMAGE, alpha=0.25),
    "PRelu": lambda: single("PRelu", IMAGE, array(1, 3, 1, 1)),
    "PRelu with one slope": lambda: single("PRelu", IMAGE, array(1, 1)),
    "Elu": lambda: single("Elu", IMAGE),
    "Elu alpha": lambda: single("Elu", IMAGE, alpha=0.5),
    "Clip": lambda: single("Clip", IMAGE, np.float32(-0.5), np.float32(0.75)),
    "Clip below": lambda: single("Clip", IMAGE, np.float32(0)),
    "Clip above": lambda: single("Clip", IMAGE, None, np.float32(0.5)),
    "Clip opset 7": lambda: single("Clip", IMAGE, opset=7, min=0.0, max=0.5),
    "Clip nothing": lambda: single("Clip", IMAGE, opset=7),
    "Sigmoid": lambda: single("Sigmoid", IMAGE),
    "HardSigmoid": lambda: single("HardSigmoid", IMAGE, alpha=0.4),
    "Softplus": lambda: single("Softplus", IMAGE),
    "Tanh": lambda: single("Tanh", IMAGE),
    "Add a constant": lambda: single("Add", IMAGE, array(1, 3, 1, 1)),
    "Add a number": lambda: single("Add", IMAGE, np.float32(0.5)),
    "Add an image": lambda: single("Add", IMAGE, array(1, *IMAGE)),
    "Sub": lambda: single("Sub", IMAGE, array(1, 1, 3, 1, 1)),
    "Mul": lambda: single("Mul", IMAGE, array(1, 3, 1, 1)),
    "Mul by a row": lambda: single("Mul", IMAGE, array(1, 6)),
    "Div": lambda: single("Div", IMAGE, array(1, 3, 1, 1)),
    "Neg": lambda: single("Neg", IMAGE),
    "Sum of one": lambda: single("Sum", IMAGE, opset=8),
    "Sum with a constant": lambda: single("Sum", IMAGE, array(1, 3, 1, 1)),
    "Flatten": lambda: single("Flatten", IMAGE),
    "Flatten, negative axis": lambda: single("Flatten", IMAGE, axis=-3, opset=13),
    "Reshape": lambda: single("Reshape", IMAGE, Int(0, 2, -1)),
    "Reshape to rows": lambda: single("Reshape", IMAGE, Int(-1, 126)),
    "Transpose": lambda: single("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    "Squeeze": lambda: single("Squeeze", (3, 1, 1), Int(2, -1)),
    "Squeeze opset 11": lambda: single("Squeeze", (3, 1, 1), axes=[2], opset=11),
    "Unsqueeze": lambda: single("Unsqueeze", (3, 2), Int(1, -1)),
    "Unsqueeze opset 11": lambda: single("Unsqueeze", (3, 2), axes=[3], opset=11),
    "Identity": lambda: single("Identity", IMAGE),
    "Cast to the same type": lambda: single("Cast", IMAGE, to=onnx.TensorProto.FLOAT),
    "Dropout": lambda: single("Dropout", IMAGE),
    "Dropout opset 10": lambda: single("Dropout", IMAGE, ratio=0.3, opset=10),
    "Softmax": lambda: single("Softmax", ROW),
    "Softmax of pixels": lambda: single("Softmax", IMAGE, axis=1),
    "Softmax of all, opset 11": lambda: single("Softmax", IMAGE, axis=1, opset=11),
    "Softmax of rows, opset 11": lambda: single("Softmax", IMAGE, axis=2, opset=11),
    "Pad": lambda: single("Pad", IMAGE, Int(0, 0, 1, 0, 0, 0, 2, 1), np.float32(0.5)),
    "Pad opset 7": lambda: single("Pad", IMAGE, pads=[0, 0, 1, 2, 0, 0, 0, 1], value=-1.0, opset=7),
    "Pad channels": lambda: single("Pad", IMAGE, Int(0, 1, 0, 0, 0, 2, 0, 0)),
    "Pad rows": lambda: single("Pad", ROW, Int(0, 1, 0, 2)),
    "Pad and crop": lambda: single("Pad", IMAGE, Int(0, 0, -1, 2, 0, 0, 1, -2)),
    "Pad axes": lambda: single("Pad", IMAGE, Int(1, 2), None, Int(-1), opset=18),
    "Slice": lambda: single("Slice", IMAGE, Int(1, -3), Int(3, 2**62), Int(1, 3), Int(1, 2)),
    "Slice opset 9": lambda: single("Slice", IMAGE, starts=[0, 0, 2], ends=[2**31 - 1, 2, -1], opset=9),
    "Slice nothing": lambda: single("Slice", IMAGE, Int(0), Int(3), Int(1)),
    "Gather one": lambda: single("Gather", (3, 5), np.asarray(-1, np.int64), axis=1),
    "ReduceMean": lambda: single("ReduceMean", IMAGE, axes=[2, 3]),
    "ReduceMean without axes kept": lambda: single("ReduceMean", IMAGE, axes=[-1, -2], keepdims=0),
    "ReduceMean of channels": lambda: single("ReduceMean", IMAGE, axes=[1, 3]),
    "ReduceMean opset 18": lambda: single("ReduceMean", IMAGE, Int(2), keepdims=0, opset=18),
    "ReduceMean of a row": lambda: single("ReduceMean", IMAGE, Int(1, 2, 3), opset=18),
    "ReduceSum": lambda: single("ReduceSum", IMAGE, Int(1), keepdims=0),
    "Upsample opset 7": lambda: single("Upsample", IMAGE, mode="nearest", scales=[1.0, 1.0, 2.0, 3.0], opset=7),
    "Upsample opset 9": lambda: single("Upsample", IMAGE, np.asarray([1, 1, 2, 2], np.float32), mode="nearest", opset=9),
    "Resize opset 10": lambda: single("Resize", IMAGE, np.asarray([1, 1, 3, 2], np.float32), mode="nearest", opset=10),
    "Resize asymmetric, floor": lambda: resize(3, "asymmetric", "floor"),
    "Resize half_pixel": lambda: resize(3, "half_pixel", "round_prefer_floor", opset=11),
    "Resize pytorch": lambda: resize(2, "pytorch_half_pixel", "round_prefer_ceil"),
    "Resize to sizes": lambda: single(
        "Resize", IMAGE, None, None, Int(1, 3, 14, 12), batch=1, mode="nearest", coordinate_transformation_mode="asymmetric",
        nearest_mode="floor", opset=13,
    ),
}  # fmt: skip
node = helper.make_node
STEPS = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"])]
INDICES = {"zero": np.asarray(0, np.int64), "one": Int(1), "minus": Int(-1), "first": Int(0), "two": Int(2)}
GRAPHS: dict[str, Callable[[], Any]] = {
    "Concat": lambda: model(
        [node("Relu", ["x"], ["a"]), node("Concat", ["a", "x", "a"], ["y"], axis=-3)], ["N", *IMAGE], opset=11
    ),
    "Add, and a value read twice": lambda: model(
        [node("Tanh", ["x"], ["a"]), node("Add", ["a", "x"], ["b"]), node("Add", ["b", "b"], ["y"])], ["N", *IMAGE]
    ),
    "Sum of three": lambda: model([node("Tanh", ["x"], ["a"]), node("Sum", ["a", "x", "x"], ["y"])], ["N", *IMAGE]),
    "Split": lambda: model(
        [node("Split", ["x"], ["a", "b", "c"], axis=1), node("Concat", ["c", "a"], ["y"], axis=1)], ["N", *IMAGE], opset=11
    ),
    "Split in given parts": lambda: model(
        [node("Split", ["x", "parts"], ["a", "b"], axis=2), node("Concat", ["b", "a"], ["y"], axis=2)],
        ["N", *IMAGE], {"parts": Int(2, 5)},
    ),
    "silu": lambda: model([node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])], ["N", *IMAGE]),
    "constant minus x": lambda: model([node("Sub", ["c", "x"], ["y"])], ["N", *IMAGE], {"c": array(1, 3, 1, 1)}),
    "a bias after MatMul": lambda: model(
        [node("MatMul", ["x", "w"], ["a"]), node("Add", ["c", "a"], ["y"])],
        ["N", 5], {"w": array(1, 5, 4), "c": array(2, 4)},
    ),
    "a bias after Conv": lambda: model(
        [node("Conv", ["x", "w"], ["a"]), node("Sub", ["a", "c"], ["y"])], ["N", *IMAGE], {"w": W, "c": array(2, 4, 1, 1)}
    ),
    "a bias after a value read twice": lambda: model(
        [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "c"], ["b"]), node("Add", ["a", "b"], ["y"])],
        ["N", 5], {"w": array(1, 5, 4), "c": array(2, 4)},
    ),
    "view(x.size(0), -1)": lambda: model(
        [*STEPS, node("Unsqueeze", ["n", "first"], ["m"]), node("Concat", ["m", "minus"], ["t"], axis=0),
         node("Reshape", ["x", "t"], ["y"])],
        ["N", *IMAGE], INDICES,
    ),
    "flatten of all but the first axis": lambda: model(
        [node("Shape", ["x"], ["s"]), node("Slice", ["s", "first", "one"], ["m"]), node("Slice", ["s", "one", "end"], ["r"]),
         node("ReduceProd", ["r"], ["p"], keepdims=1), node("Concat", ["m", "p"], ["t"], axis=0),
         node("Reshape", ["x", "t"], ["y"])],
        ["N", *IMAGE], {**INDICES, "end": Int(9)},
    ),
    "channel shuffle with computed sizes": lambda: model(
        [node("Shape", ["x"], ["s"]), node("Gather", ["s", "first"], ["n"]), node("Gather", ["s", "one"], ["c"]),
         node("Div", ["c", "two"], ["half"]), node("Slice", ["s", "two", "end"], ["hw"]),
         node("Concat", ["n", "two", "half", "hw"], ["wide"], axis=0), node("Reshape", ["x", "wide"], ["a"]),
         node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]), node("Reshape", ["b", "s"], ["y"])],
        ["N", 6, 2, 3], {**INDICES, "end": Int(4)},
    ),
    "upsampling to a computed size": lambda: model(
        [node("Shape", ["x"], ["s"]), node("Slice", ["s", "two", "end"], ["hw"]), node("Cast", ["hw"], ["f"], to=1),
         node("Mul", ["f", "twice"], ["g"]), node("Floor", ["g"], ["h"]), node("Cast", ["h"], ["i"], to=7),
         node("Slice", ["s", "first", "two"], ["nc"]), node("Concat", ["nc", "i"], ["t"], axis=0),
         node("Resize", ["x", "", "", "t"], ["y"], mode="nearest", coordinate_transformation_mode="asymmetric",
              nearest_mode="floor")],
        ["N", *IMAGE], {**INDICES, "end": Int(4), "twice": np.asarray([2, 2], np.float32)}, opset=13,
    ),
    "weights that are computed": lambda: model(
        [node("Constant", [], ["s"], value_ints=[4, 5]), node("ConstantOfShape", ["s"], ["ones"]),
         node("Where", ["mask", "half", "ones"], ["a"]), node("Transpose", ["a"], ["w"]), node("MatMul", ["x", "w"], ["y"])],
        ["N", 5], {"half": np.full((4, 5), 0.5, np.float32), "mask": array(1, 4, 5) > 0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [*SINGLE, *GRAPHS])
def test_the_network_returns_what_onnxruntime_returns(case: str, tmp_path: Path) -> None:
    proto = (SINGLE | GRAPHS)[case]()
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    x = array(11, dims[0].dim_value or 2, *(d.dim_value for d in dims[1:]))
    network = load(proto, tmp_path)
    (expected,) = runtime(proto, x=x)
    found = network.forward(x)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-5, atol=2e-6)
    assert network.outputs == ("y",)
    wide = network.forward(np.concatenate([x, -x]))
    assert np.allclose(wide[: len(x)], found, rtol=1e-5, atol=2e-6)  # whatever batch the file was exported with


def test_a_window_of_even_size_reaches_further_up_as_the_specification_says(tmp_path: Path) -> None:
    """Channels max(0, c - floor((size - 1) / 2)) to min(C - 1, c + ceil((size - 1) / 2)); onnxruntime refuses even sizes."""
    x = array(1, 2, 7, 2, 3)
    sums = np.stack([(x[:, max(0, c - 1) : c + 3] ** 2).sum(axis=1) for c in range(7)], axis=1)
    found = load(single("LRN", (7, 2, 3), size=4, alpha=0.5), tmp_path).forward(x)
    assert np.allclose(found, x / (1 + 0.5 / 4 * sums) ** 0.75, rtol=1e-5)


def test_every_operator_of_the_table_is_tried() -> None:
    tried = {n.op_type for case in (SINGLE | GRAPHS).values() for n in case().graph.node}
    assert set(OPERATORS) <= tried


def test_a_bias_becomes_part_of_the_layer_before_it(tmp_path: Path) -> None:
    for case in ("a bias after MatMul", "a bias after Conv"):
        (only,) = load(GRAPHS[case](), tmp_path).nodes
        assert only.layer.bias is not None  # type: ignore[attr-defined]


def test_constants_per_channel_are_batch_norms_that_merge(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Mul", ["a", "g"], ["b"]), node("Add", ["b", "t"], ["y"])]
    given = {"w": W, "g": array(2, 4, 1, 1), "t": array(3, 4, 1, 1)}
    network = load(model(nodes, ["N", *IMAGE], given), tmp_path)
    assert [type(n.layer) for n in network.nodes] == [lrp.Conv, lrp.BatchNorm, lrp.BatchNorm]
    merged = lrp.transforms.merge_batch_norm(network)
    assert [type(n.layer) for n in merged.nodes] == [lrp.Conv]
    x = array(5, 2, *IMAGE)
    assert np.allclose(merged.forward(x), network.forward(x), atol=1e-5)


def test_names_are_those_of_the_file(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["a"], name="same"),
        node("Tanh", ["a"], ["b"], name="same"),
        node("Relu", ["b"], ["c"], name="its own"),
        node("Relu", ["c"], ["d"]),
        node("Relu", ["d"], ["y"], name="last"),
        node("Relu", ["d"], ["unused"]),
    ]
    network = load(model(nodes, ["N", 3]), tmp_path)
    assert [n.name for n in network.nodes] == ["a", "b", "its own", "d", "y"]


def test_several_inputs_and_outputs_keep_their_names(tmp_path: Path) -> None:
    nodes = [node("Add", ["left", "right"], ["sum"]), node("Relu", ["sum"], ["positive"])]
    inputs = {"left": ["N", 3], "right": ["N", 3], "nobody": ["N", 1]}
    proto = model(nodes, (), inputs=inputs, outputs=["positive", "sum"])
    network = load(proto, tmp_path)
    given = {"left": array(1, 2, 3), "right": array(2, 2, 3)}
    expected = runtime(proto, **given, nobody=array(3, 2, 1))
    found = network.forward(given)
    assert network.inputs == ("left", "right")
    assert [np.array_equal(found[name], e) for name, e in zip(("positive", "sum"), expected, strict=True)] == [True, True]


def test_rationals_by_conversion(tmp_path: Path) -> None:
    network = load(GRAPHS["a bias after MatMul"](), tmp_path, convert=lrp.exact)
    found = network.explain(lrp.exact(array(1, 1, 5)), lrp.Composite([lrp.Assign(lrp.Epsilon(0.25))]), target=1)
    found.ledger.check()
    assert found.ledger.imbalance().tolist() == [0]


@pytest.mark.parametrize("shape", [["N", 3, "H", "W"], ["N", 3, 6, "W"]])
def test_sizes_that_the_file_leaves_open_are_given(shape: list[Any], tmp_path: Path) -> None:
    proto = model([node("GlobalMaxPool", ["x"], ["y"])], shape)
    with pytest.raises(lrp.LRPError, match=r"input 'x' leaves its shape open, \(N, 3, .*shapes=\{'x': \(3, "):
        load(proto, tmp_path)
    x = array(1, 2, 3, 6, 5)
    assert np.array_equal(load(proto, tmp_path, shapes={"x": (3, 6, 5)}).forward(x), runtime(proto, x=x)[0])
    for wrong in ({"x": (4, 6, 5)}, {"x": (3, 6)}, {"z": (3, 6, 5)}):
        with pytest.raises(lrp.LRPError, match=r"samples of shape|no input 'z'"):
            load(proto, tmp_path, shapes=wrong)
