"""Makes the models of this folder, samples, and what the models make of them.

The models are ONNX as PyTorch or Keras would save them, small and of no use but for tests. What they answer is computed
with onnxruntime from windows that are cut here, in numpy, as docs/detectors.md says: nothing of the detector's own code
has a part in it. `hostile/` holds models that nobody would train.

    pip install onnx onnxruntime numpy
    python3 tests/data/onnx/make.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
BEGIN_S = 1_767_225_600
ROWS = 400
# From here on the pump runs dry: current falls while speed stays.
DRY = 330
SIGNALS = ["flow", "pressure", "current", "speed"]
MEAN = [40.0, 3.0, 12.0, 1450.0]
STD = [6.0, 0.5, 1.5, 40.0]
OPSET = 17


def main() -> None:
    """Writes everything."""
    random = np.random.default_rng(7)
    samples = pump(random)
    lines = ["signal,source_time,server_time,value,integer,text,status,quality"]
    for row, values in enumerate(samples):
        at = np.datetime_as_string(np.datetime64(BEGIN_S + row, "s")) + "Z"
        lines += [f"pump/{name},{at},{at},{value!r},,,0x00000000," for name, value in zip(SIGNALS, map(float, values))]
    (HERE / "pump.csv").write_text("\n".join(lines) + "\n")
    autoencoder(samples, random)
    filters(samples, random)
    sequence(samples, random)
    hostile()


def pump(random: np.random.Generator) -> np.ndarray:
    """Four signals that follow one load, a row a second, rounded to what a transmitter would send."""
    at = np.arange(ROWS)
    load = np.sin(at / 25) + 0.3 * np.sin(at / 7)
    signals = np.stack([40 + 5 * load, 3 + 0.4 * load**2, 12 + 1.3 * load, 1450 + 30 * load], axis=1)
    signals += random.normal(size=signals.shape) * [0.3, 0.03, 0.08, 2.0]
    signals[DRY:, 2] -= np.minimum(np.arange(ROWS - DRY) * 0.25, 5)
    signals[DRY:, 0] -= np.minimum(np.arange(ROWS - DRY) * 0.5, 20)
    return np.round(signals, 3)


def normalised(samples: np.ndarray) -> np.ndarray:
    """As `normalise = "given"` does."""
    return ((samples - MEAN) / STD).astype(np.float32)


def autoencoder(samples: np.ndarray, random: np.random.Generator) -> None:
    """One row of four signals through two neurons and back, trained on what came before the fault."""
    given = normalised(samples[:DRY])
    down, up = random.normal(size=(4, 2)) * 0.5, random.normal(size=(2, 4)) * 0.5
    for _ in range(4000):
        hidden = np.tanh(given @ down)
        error = hidden @ up - given
        up_step = hidden.T @ error / len(given)
        down -= 0.05 * given.T @ (error @ up.T * (1 - hidden**2)) / len(given)
        up -= 0.05 * up_step
    weights = {"down": down, "up": up, "bias": error.mean(axis=0) * 0}
    nodes = [
        helper.make_node("MatMul", ["x", "down"], ["pressed"]),
        helper.make_node("Tanh", ["pressed"], ["code"]),
        helper.make_node("Gemm", ["code", "up", "bias"], ["y"]),
    ]
    model = save("autoencoder", nodes, ["batch", 4], ["batch", 4], weights)
    windows = [(row, normalised(samples[row : row + 1]).reshape(1, 4)) for row in range(ROWS)]
    golden("autoencoder", model, windows, lambda given, answer: np.mean((given.astype(float) - answer) ** 2))


def filters(samples: np.ndarray, random: np.random.Generator) -> None:
    """Sixteen rows of two signals, signal by signal, through convolutions, every fourth row. Learned normalisation."""
    weights = {"first": random.normal(size=(3, 2, 3)) * 0.4, "second": random.normal(size=(2, 3, 3)) * 0.4}
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["wide"], pads=[1, 1], kernel_shape=[3]),
        helper.make_node("Relu", ["wide"], ["kept"]),
        helper.make_node("Conv", ["kept", "second"], ["y"], pads=[1, 1], kernel_shape=[3]),
    ]
    model = save("filters", nodes, [1, 2, 16], [1, 2, 16], weights)
    two = samples[:, [1, 2]]
    learned = two[:50]
    scaled = ((two - learned.mean(axis=0)) / learned.std(axis=0, ddof=1)).astype(np.float32)
    windows = [(row, scaled[row - 15 : row + 1].T.reshape(1, 2, 16)) for row in range(65, ROWS, 4)]
    golden("filters", model, windows, lambda given, answer: np.mean((given.astype(float) - answer) ** 2))


def sequence(samples: np.ndarray, random: np.random.Generator) -> None:
    """Eight rows of four signals through an LSTM to two probabilities; the second is the score."""
    hidden = 5
    weights = {
        "w": random.normal(size=(1, 4 * hidden, 4)) * 0.6,
        "r": random.normal(size=(1, 4 * hidden, hidden)) * 0.4,
        "b": random.normal(size=(1, 8 * hidden)) * 0.1,
        "dense": random.normal(size=(hidden, 2)),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["by_time"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["by_time", "w", "r", "b"], ["", "last"], hidden_size=hidden),
        helper.make_node("Squeeze", ["last", "axis"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    axis = numpy_helper.from_array(np.array([0], dtype=np.int64), "axis")
    model = save("sequence", nodes, ["batch", 8, 4], ["batch", 2], weights, output="probabilities", further=[axis])
    windows = [(row, normalised(samples[row - 7 : row + 1]).reshape(1, 8, 4)) for row in range(7, ROWS)]
    golden("sequence", model, windows, lambda _, answer: answer[0, 1])


def save(name: str, nodes: list, given: list, answer: list, weights: dict, output: str = "y", further: list = []) -> Path:
    """Writes a model of f32 tensors, after ONNX's own check."""
    tensors = [numpy_helper.from_array(value.astype(np.float32), key) for key, value in weights.items()] + further
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, answer)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return write(HERE / f"{name}.onnx", model)


def write(path: Path, model: onnx.ModelProto) -> Path:
    """The same bytes for the same model."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def golden(name: str, model: Path, windows: list, score) -> None:
    """Writes the score of each window, by the time of its last row."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    lines = []
    for row, given in windows:
        (answer,) = session.run(None, {"x": given})
        lines.append(json.dumps({"at": BEGIN_S + row, "score": float(score(given, answer.astype(float)))}))
    (HERE / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def hostile() -> None:
    """What a stranger may hand us in place of a model."""
    node, info = helper.make_node, helper.make_tensor_value_info
    plain = [info("x", TensorProto.FLOAT, [1, 1])], [info("y", TensorProto.FLOAT, None)]

    def graph(nodes, tensors=(), given=None):
        return helper.make_graph(nodes, "hostile", given or plain[0], plain[1], list(tensors))

    def keep(name, made, opset=OPSET, domain=""):
        model = helper.make_model(made, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=8)
        write(HERE / "hostile" / f"{name}.onnx", model)

    def shape(name, *sides):
        return numpy_helper.from_array(np.array(sides, dtype=np.int64), name)

    relu = node("Relu", ["x"], ["y"])
    keep("newer-operators", graph([relu]), opset=99)
    keep("older-operators", graph([relu]), opset=1)
    keep("unknown-operator", graph([node("Divine", ["x"], ["y"])]))
    keep("random", graph([node("RandomNormalLike", ["x"], ["noise"]), node("Add", ["x", "noise"], ["y"])]))
    keep("two-inputs", graph([node("Add", ["x", "z"], ["y"])], given=[*plain[0], info("z", TensorProto.FLOAT, [1, 1])]))
    keep("no-input", graph([node("Identity", ["one"], ["y"])], [shape("one", 1)], given=[info("one", TensorProto.INT64, [1])]))
    keep("other-shape", graph([relu], given=[info("x", TensorProto.FLOAT, [1, 7])]))
    keep("other-rank", graph([relu], given=[info("x", TensorProto.FLOAT, [1, 1, 1, 1, 1, 1])]))
    keep("whole-numbers", graph([relu], given=[info("x", TensorProto.INT64, [1, 1])]))
    keep("two-answers", graph([node("Concat", ["x", "x"], ["y"], axis=1)]))
    keep("no-number", graph([node("Neg", ["x"], ["minus"]), node("Log", ["minus"], ["y"])]))
    keep("circle", graph([node("Add", ["x", "y"], ["z"]), node("Relu", ["z"], ["y"])]))
    keep("from-nowhere", graph([node("Add", ["x", "nowhere"], ["y"])]))
    filled = node("ConstantOfShape", ["shape"], ["filled"])
    total = [node("ReduceSum", ["filled"], ["sum"], keepdims=0), node("Add", ["x", "sum"], ["y"])]
    keep("terabyte", graph([filled, *total], [shape("shape", 1 << 20, 1 << 20)]))
    keep("gigabyte", graph([filled, *total], [shape("shape", 1 << 14, 1 << 14)]))
    product = [node("MatMul", ["filled", "filled"], ["squared"]), node("ReduceSum", ["squared"], ["sum"], keepdims=0)]
    keep("slow", graph([filled, *product, total[1]], [shape("shape", 1200, 1200)]))
    declared = TensorProto(name="big", data_type=TensorProto.FLOAT, dims=[1 << 40], raw_data=b"\0\0\0\0")
    keep("declared-only", graph([node("Add", ["x", "big"], ["y"])], [declared]))
    negative = TensorProto(name="big", data_type=TensorProto.FLOAT, dims=[-1], raw_data=b"\0\0\0\0")
    keep("negative-size", graph([node("Add", ["x", "big"], ["y"])], [negative]))
    elsewhere = TensorProto(name="big", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    elsewhere.external_data.add(key="location", value="../../etc/passwd")
    keep("weights-elsewhere", graph([node("Add", ["x", "big"], ["y"])], [elsewhere]))
    body = helper.make_graph(
        [node("Identity", ["going"], ["goes"]), node("Add", ["value", "value"], ["next"])],
        "body",
        [info("turn", TensorProto.INT64, []), info("going", TensorProto.BOOL, []), info("value", TensorProto.FLOAT, [1, 1])],
        [info("goes", TensorProto.BOOL, []), info("next", TensorProto.FLOAT, [1, 1])],
    )
    turns = numpy_helper.from_array(np.array(1 << 62, dtype=np.int64), "turns")
    always = numpy_helper.from_array(np.array(True), "always")
    keep("loop", graph([node("Loop", ["turns", "always", "x"], ["y"], body=body)], [turns, always]))
    chain = [node("Neg", ["x" if at == 0 else f"n{at}"], ["y" if at == 499 else f"n{at + 1}"]) for at in range(500)]
    keep("chain", graph(chain))


if __name__ == "__main__":
    main()
