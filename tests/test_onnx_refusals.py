"""Files that are no valid model, or that no layers stand for: one clear line each, and never another kind of error."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402
from onnx_models import array, load, model, single  # noqa: E402

import lrp_ref as lrp  # noqa: E402

node = helper.make_node
RELU = [node("Relu", ["x"], ["y"])]
IMAGE = ["N", 3, 4, 4]
FOREIGN = ("com.example", 1)
W, NORM = array(1, 2, 3, 3, 3), {name: abs(array(k, 2)) for k, name in enumerate("gbmv")}


def changed(change: Callable[[Any], object]) -> Any:
    """A small valid model, and what `change` makes of it."""
    proto = model([node("Conv", ["x", "w"], ["a"]), node("Relu", ["a"], ["y"])], IMAGE, {"w": W})
    change(proto)
    return proto


def external(**entries: str) -> Any:
    def change(proto: Any) -> None:
        (tensor,) = proto.graph.initializer
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return changed(change)


def calling(bodies: dict[str, list[Any]], first: str) -> Any:
    """A model whose one node calls the function `first`."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", name, ["x"], ["y"], nodes, opsets) for name, nodes in bodies.items()]
    proto = model(RELU, ["N", 3], opsets=opsets[1:])
    proto.functions.extend(functions)
    proto.graph.node[0].CopyFrom(node(first, ["x"], ["y"], domain="own"))
    return proto


def call(name: str, read: str, made: str) -> Any:
    return node(name, [read], [made], domain="own")


DOUBLINGS: dict[str, list[Any]] = {f"f{k}": [call(f"f{k + 1}", "x", "a"), call(f"f{k + 1}", "a", "y")] for k in range(30)}
HUGE = np.asarray([2**31, 2**9], np.int64)
INVALID: dict[str, tuple[Callable[[], Any], str]] = {
    "no graph": (lambda: changed(lambda m: m.ClearField("graph")), "no ONNX model: expected a graph"),
    "no nodes": (lambda: changed(lambda m: m.graph.ClearField("node")), "a graph without nodes"),
    "no opset": (lambda: changed(lambda m: m.ClearField("opset_import")), "one default operator set, got 0"),
    "two opsets": (lambda: changed(lambda m: m.opset_import.add(version=9)), "one default operator set, got 2"),
    "an old opset": (lambda: changed(lambda m: setattr(m.opset_import[0], "version", 6)), "opset 6; expected 7 or newer"),
    "a future opset": (lambda: changed(lambda m: setattr(m.opset_import[0], "version", 999)), "opset 999; .*: upgrade onnx"),
    "a future format": (lambda: changed(lambda m: setattr(m, "ir_version", 99)), "not a valid model: .*ir_version"),
    "a missing initialiser": (lambda: changed(lambda m: m.graph.ClearField("initializer")), "not a valid model: .*'w'"),
    "a cycle": (
        lambda: changed(lambda m: m.graph.node[0].input.__setitem__(0, "y")), "not a valid model: .*topologically sorted",
    ),
    "a value computed twice": (lambda: changed(lambda m: m.graph.node.append(m.graph.node[1])), "not a valid model: .*'?y'?"),
    "two tensors of one name": (
        lambda: changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])), "two initialisers are called 'w'",
    ),
    "a tensor that is too short": (
        lambda: changed(lambda m: setattr(m.graph.initializer[0], "raw_data", b"1234")), r"tensor 'w' of shape \(2, 3, 3, 3\)",
    ),
    "a tensor that claims an exabyte": (
        lambda: changed(lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**55)), r"'w' of shape \(36028797018963968",
    ),
    "a tensor of negative size": (
        lambda: changed(lambda m: m.graph.initializer[0].dims.__setitem__(0, -2)), "expected sizes >= 0|not a valid model",
    ),
    "a tensor of words": (
        lambda: changed(lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.STRING)), "'w' is of type STRING",
    ),
    "a sparse tensor": (lambda: changed(lambda m: m.graph.sparse_initializer.add()), "sparse tensors; store them dense"),
    "an input of words": (
        lambda: changed(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.STRING)),
        "input 'x': expected float16, float32 or float64",
    ),
    "a batch of no samples": (lambda: model(RELU, [0, 3]), r"input 'x' has the shape \(0, 3\); expected sizes >= 1"),
    "inputs of two batches": (
        lambda: model([node("Concat", ["x", "z"], ["y"], axis=1)], (), inputs={"x": [2, 3], "z": [3, 3]}),
        "inputs with batches of 2 and 3",
    ),
    "a constant output": (
        lambda: model([*RELU, node("Constant", [], ["c"], value_floats=[1.0])], ["N", 3], outputs=["y", "c"]),
        "output 'c' does not depend on an input",
    ),
    "an output that is an input": (
        lambda: changed(lambda m: m.graph.output.append(m.graph.input[0])), "output 'x' is an input itself",
    ),
    "no input": (
        lambda: model([node("Constant", [], ["y"], value_floats=[1.0])], (), inputs={}), "no output depends on an input",
    ),
    "external data that are not there": (lambda: external(location="weights.bin"), "in 'weights.bin', which is no file"),
    "external data above the folder": (lambda: external(location="../secret.bin"), "in '../secret.bin', outside the model's"),
    "external data anywhere": (lambda: external(location="/etc/hostname"), "in '/etc/hostname', outside the model's folder"),
    "external data beyond a link": (lambda: external(location="link/secret.bin"), "in 'link/secret.bin', outside the model's"),
    "external data without a file": (lambda: external(offset="0"), "external data without a file"),
    "external data that claim 2 GB": (
        lambda: external(location="short.bin", length=str(2**31)), "expected 216 bytes from 0, got 2147483648 of the file's 8",
    ),
    "external data past the end": (lambda: external(location="short.bin", offset="4"), "expected 216 bytes from 4, got 216 of"),
    "external data at no number": (lambda: external(location="short.bin", offset="far"), "tensor 'w' of shape .*'far'"),
    "a function that calls itself": (
        lambda: calling({"f": [call("f", "x", "y")]}, "f"), "the function 'f' calls itself",
    ),
    "functions that double thirty times": (
        lambda: calling({**DOUBLINGS, "f30": [node("Relu", ["x"], ["y"])]}, "f0"), "more than 1000000 nodes",
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a foreign domain": (
        lambda: model([node("Blur", ["x"], ["y"], domain=FOREIGN[0])], ["N", 3], opsets=[helper.make_opsetid(*FOREIGN)]),
        r"'y' \(Blur\): an operator of the domain 'com.example'",
    ),
    "log softmax": (lambda: single("LogSoftmax", (3,)), "'?node'? \\(LogSoftmax\\): .*export the model up to its logits"),
    "a product of values": (
        lambda: model([node("Tanh", ["x"], ["a"]), node("Mul", ["a", "x"], ["y"])], ["N", 3]), "several computed values",
    ),
    "values of different shapes": (
        lambda: model([node("GlobalMaxPool", ["x"], ["a"]), node("Add", ["a", "x"], ["y"])], IMAGE), "of different shapes",
    ),
    "a constant that widens": (lambda: single("Add", (3, 1, 1), array(1, 3, 4, 4)), "a constant widens its operand"),
    "a constant for every sample": (lambda: single("Add", (3,), array(1, 2, 3), batch=2), "differs from sample to sample"),
    "weights that are computed": (
        lambda: model([node("Conv", ["x", "z"], ["y"])], (), inputs={"x": IMAGE, "z": ["N", 3, 3, 3]}), "operand 1 is computed",
    ),
    "a batch that moves": (lambda: single("Transpose", (3, 4), perm=[1, 0, 2]), "every axis once, the batch axis first"),
    "a batch that is merged": (lambda: single("Reshape", (3, 4), np.asarray([-1, 4])), "the batch axis does not stay first"),
    "a batch that is reduced": (lambda: single("ReduceMean", (3, 4), axes=[0]), "it reduces the batch axis"),
    "a batch that is written down": (lambda: single("Reshape", (3, 4), np.asarray([1, -1])), "batch axis does not stay first"),
    "a softmax over samples": (lambda: single("Softmax", (3,), axis=0), "works along the batch axis"),
    "padding that frameworks disagree on": (
        lambda: single("MaxPool", (3, 7, 7), kernel_shape=[2, 2], strides=[7, 1], auto_pad="SAME_UPPER"),
        "where frameworks differ",
    ),
    "a window on padding alone": (
        lambda: single("AveragePool", (3, 2, 2), kernel_shape=[3, 3], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1),
        "its last window lies on padding alone",
    ),
    "reflected padding": (lambda: single("Pad", (3, 4), np.asarray([0, 0, 1, 0, 0, 1]), mode="reflect"), "mode='reflect'"),
    "linear resizing": (
        lambda: single("Resize", (3, 4, 4), None, np.asarray([1, 1, 2, 2], np.float32), mode="linear"), "mode='linear'",
    ),
    "resizing by a fraction": (
        lambda: single("Resize", (3, 4, 4), None, np.asarray([1, 1, 1.5, 2], np.float32)), "expected whole factors",
    ),
    "another neighbour": (
        lambda: single("Resize", (3, 4, 4), None, np.asarray([1, 1, 3, 3], np.float32), nearest_mode="ceil",
                       coordinate_transformation_mode="asymmetric"),
        r"rounding reads another neighbour than p // 3",
    ),
    "training": (
        lambda: model([node("BatchNormalization", [*"xgbmv"], ["y", "p", "q"], training_mode=1)], ["N", 2], NORM, opset=15),
        "training_mode=1",
    ),
    "indices of a maximum": (
        lambda: model([node("MaxPool", ["x"], ["a", "y"], kernel_shape=[2, 2])], IMAGE), "its output 1 is read",
    ),
    "a shape that depends on values": (
        lambda: model([node("NonZero", ["x"], ["a"]), node("Relu", ["x"], ["y"]), node("Cast", ["a"], ["b"], to=1)],
                      ["N", 3], outputs=["y", "b"]),
        r"1 node\(s\) cannot be read: 'a' \(NonZero\): no layer stands",
    ),
    "a number of samples as a number": (
        lambda: model([node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Cast", ["n"], ["f"], to=1),
                       node("Div", ["x", "f"], ["y"])], ["N", 3], {"zero": np.asarray(0)}),
        "depends on the batch size",
    ),
    "a constant of a terabyte": (
        lambda: model([node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])], ["N", 3], {"s": HUGE}),
        "takes more than 4 GiB",
    ),
    "an image of a terabyte": (
        lambda: single("Pad", (3, 4, 4), np.asarray([0, 0, 2**20, 2**20, 0, 0, 0, 0])), "samples of more than 4 GiB",
    ),
    "two types": (
        lambda: model([node("Cast", ["x"], ["a"], to=TensorProto.DOUBLE), node("Relu", ["a"], ["y"])], ["N", 3]),
        "changes the type of computed values",
    ),
}  # fmt: skip


def refusal(proto: Any, folder: Path) -> str:
    with pytest.raises(lrp.LRPError) as caught:
        load(proto, folder)
    message = str(caught.value)
    assert message.startswith("model.onnx: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("case", INVALID)
def test_what_is_no_valid_model_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(216))
    (folder / "short.bin").write_bytes(bytes(8))
    os.symlink(tmp_path, folder / "link")
    build, expected = INVALID[case]
    message = refusal(build(), folder)
    assert re.search(expected, message), message


@pytest.mark.parametrize("case", REFUSED)
def test_nodes_without_layers_are_named_with_the_reason(case: str, tmp_path: Path) -> None:
    build, expected = REFUSED[case]
    message = refusal(build(), tmp_path)
    assert re.search(r"1 node\(s\) cannot be read: ", message), message
    assert re.search(expected, message), message


def test_all_unsupported_nodes_are_listed_at_once(tmp_path: Path) -> None:
    nodes = [
        node("Erf", ["x"], ["a"], name="gelu/erf"),
        node("Relu", ["x"], ["b"]),
        node("Sin", ["b"], ["c"]),
        node("Add", ["a", "c"], ["y"], name="sum"),
        node("Cos", ["x"], ["unread"], name="dead"),
    ]
    message = refusal(model(nodes, ["N", 3]), tmp_path)
    assert "2 node(s) cannot be read: 'gelu/erf' (Erf): " in message
    assert "'c' (Sin): " in message
    assert "dead" not in message
    assert "sum" not in message
    assert message.endswith("or build the lrp_ref.Network by hand")


def test_an_open_batch_is_called_n(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", ["x", "s"], ["a"], name="fixed"),
        node("GlobalAveragePool", ["x"], ["b"]),
        node("Add", ["x", "b"], ["c"], name="wide"),
    ]
    proto = model(nodes, ["N", 1, 2, 3], {"s": np.asarray([3, -1])}, outputs=["a", "c"], opset=9)
    message = refusal(proto, tmp_path)
    assert "'fixed' (Reshape): its output has the shape (3, 2N)" in message
    assert "'wide' (Add): it adds values of different shapes (N, 1, 1, 1) and (N, 1, 2, 3)" in message


def test_what_follows_an_unsupported_node_is_judged_as_well(tmp_path: Path) -> None:
    nodes = [
        node("Erf", ["x"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Mul", ["a", "b"], ["c"], name="gate"),
        node("Erf", ["c"], ["d"]),
        node("Transpose", ["d"], ["e"], perm=[1, 0], name="turn"),
        node("Relu", ["e"], ["f"], name="unjudged"),
        node("Sin", ["f"], ["y"]),
    ]
    message = refusal(model(nodes, ["N", 3]), tmp_path)
    assert "5 node(s) cannot be read: 'a', 'd' (Erf): no layer stands" in message
    assert "'gate' (Mul): it combines several computed values" in message
    assert "'turn' (Transpose): perm (1, 0)" in message
    assert "'y' (Sin): no layer stands" in message
    assert "unjudged" not in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "no ONNX model"),
        (b"Once upon a time\n", "no ONNX model"),
        (b"\x80\x04\x95" * 40, "no ONNX model"),
        (b"PK\x03\x04" + bytes(200), "no ONNX model"),
    ],
)
def test_what_is_no_protobuf_is_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(lrp.LRPError, match=f"model.onnx: {expected}"):
        lrp.load_onnx(path)


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(lrp.LRPError, match=r"none\.onnx: cannot be read: No such file"):
        lrp.load_onnx(tmp_path / "none.onnx")
    with pytest.raises(lrp.LRPError, match="cannot be read: Is a directory"):
        lrp.load_onnx(tmp_path)


def test_a_file_larger_than_protobuf_allows_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "sparse.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(lrp.LRPError, match="larger than the 2 GiB"):
        lrp.load_onnx(path)


def test_external_data_in_the_folder_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(changed(lambda m: None), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert not onnx.load(path, load_external_data=False).graph.initializer[0].raw_data
    (conv, _) = lrp.load_onnx(path).nodes
    assert np.array_equal(conv.layer.weight, W)  # type: ignore[attr-defined]


def test_functions_of_the_model_are_written_out(tmp_path: Path) -> None:
    proto = calling({"f": [call("g", "x", "a"), node("Relu", ["a"], ["y"])], "g": [node("Tanh", ["x"], ["y"])]}, "f")
    network = load(proto, tmp_path)
    assert [n.layer for n in network.nodes] == [lrp.Activation("tanh"), lrp.Activation("relu")]


def _seeds() -> list[bytes]:
    shuffle = [
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "i"], ["n"]), node("Unsqueeze", ["n", "k"], ["m"]),
        node("Concat", ["m", "rest"], ["t"], axis=0), node("Reshape", ["x", "t"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 1]), node("Flatten", ["b"], ["c"]), node("Gemm", ["c", "w"], ["y"]),
    ]  # fmt: skip
    constants = {"i": np.asarray(0), "k": np.asarray([0]), "rest": np.asarray([2, -1]), "w": array(1, 6, 2)}
    chain = [
        node("Pad", ["x", "ends"], ["p"]), node("Conv", ["p", "w"], ["a"], strides=[2, 1]),
        node("BatchNormalization", ["a", *"gbmv"], ["b"]), node("Clip", ["b", "low"], ["c"]),
        node("AveragePool", ["c"], ["d"], kernel_shape=[2, 2], auto_pad="SAME_UPPER"), node("GlobalAveragePool", ["d"], ["y"]),
    ]  # fmt: skip
    ends = {"w": W, "ends": np.asarray([0, 0, 1, 1, 0, 0, 1, 1]), "low": np.float32(0)}
    protos = [model(shuffle, ["N", 6], constants), model(chain, IMAGE, {**NORM, **ends})]
    return [bytes(proto.SerializeToString()) for proto in protos]


@pytest.mark.parametrize("seed", range(8))
def test_mutated_bytes_load_or_are_refused(seed: int, tmp_path: Path) -> None:
    random, path, loaded, refused = np.random.default_rng(seed), tmp_path / "model.onnx", 0, list[str]()
    for content in _seeds() * 40:
        data = bytearray(content)
        for _ in range(random.integers(1, 4)):
            at, removed = int(random.integers(len(data))), int(random.integers(3))
            added = removed if random.integers(4) else int(random.integers(3))
            data[at : at + removed] = random.bytes(added)
        path.write_bytes(data)
        try:
            loaded += bool(lrp.load_onnx(path).nodes)
        except lrp.LRPError as error:
            refused.append(str(error))
    assert loaded > 0
    assert not [message for message in refused if "\n" in message]
