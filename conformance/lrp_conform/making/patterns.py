"""Golden cases of pattern statistics: the pattern matrix, and how far an honest evaluation may lie from it."""

from typing import Any

import numpy as np

import lrp_ref as lrp
from lrp_conform.cases import model
from lrp_conform.cases.numbers import exact_array, floats, rational, tensor
from lrp_conform.making.recipes.common import Recipe

Json = dict[str, Any]


def pattern_case(recipe: Recipe, edition: str) -> Json:
    """The case, its patterns computed over the batches one by one and checked against all rows at once."""
    weight, bias = (exact_array(recipe.node["params"][k]) for k in ("weight", "bias"))
    x, rule = exact_array(recipe.inputs["x"]), recipe.rule
    batches = np.split(x, rule["batches"])
    statistics = lrp.pattern_statistics(weight, batches[0], rule["mask"])
    for batch in batches[1:]:
        statistics = statistics + lrp.pattern_statistics(weight, batch, rule["mask"])
    pattern = statistics.patterns(weight)
    if (pattern != lrp.pattern_statistics(weight, x, rule["mask"]).patterns(weight)).any():
        raise ArithmeticError(f"{recipe.id}: batches and whole differ")
    naive = _naive(weight, x, rule["mask"])
    if [rational(v) for v in pattern.reshape(-1)] != naive:
        raise ArithmeticError(f"{recipe.id}: the scalar loops differ")
    G, H = _gauges(weight, x, rule["mask"])
    y = x @ weight.T + bias
    rows = x.shape[0]
    return {
        "id": recipe.id,
        "uid": "",
        "status": recipe.status,
        "flags": list(recipe.flags),
        "comment": recipe.comment,
        "references": ["arXiv:1705.05598"],
        "features": model.features([recipe.node], {recipe.node["name"]: rule}, recipe.inputs),
        "model": {"nodes": [recipe.node]},
        "rules": {recipe.node["name"]: rule},
        "inputs": recipe.inputs,
        "expected": {"y": tensor(y), "relevance": {"pattern": tensor(pattern)}},
        "ledger": {},
        "gauges": {
            "G": {"pattern": _hex(G)},
            "H": {"pattern": _hex(H)},
            "S": {"pattern": {"shape": list(G.shape), "data": ["4096"] * G.size}},
            "Y": tensor(abs(x) @ abs(weight).T + abs(bias)),
            "fan_in": rows + weight.shape[1] + 4 * rule["batches"],
            "fan_out": rows + 4 * rule["batches"],
            "kappa": "1",
        },
        "conservation": {},
        "representable_in": ["float64", "float32", "float16"],
        "exact_in": [],
        "dialects": {},
        "discriminates": {},
        "certificates": ["exact-rational", "batches-equal-whole", "scalar-loops"],
        "provenance": {"recipe": "conformance.recipes", "edition": edition},
    }


def _naive(weight: np.ndarray, x: np.ndarray, mask: str) -> list[Any]:
    """The same patterns by scalar loops over one neuron and one input at a time."""
    n, (outs, ins) = x.shape[0], weight.shape
    w, rows = [[rational(v) for v in r] for r in weight], [[rational(v) for v in r] for r in x]
    out = [[rational(x.flat[0]) * 0] * outs for _ in range(ins)]
    for j in range(outs):
        y = [sum(w[j][i] * row[i] for i in range(ins)) for row in rows]
        kept = [k for k in range(n) if mask == "all" or (y[k] > 0) == (mask == "positive")]
        count = len(kept) or 1
        mean_y = sum(y) / n
        cov = [
            sum(rows[k][i] * y[k] for k in kept) / count - sum(rows[k][i] for k in kept) / count * mean_y for i in range(ins)
        ]
        v = sum(w[j][i] * cov[i] for i in range(ins))
        for i in range(ins):
            out[i][j] = cov[i] / (v if v else 1)
    return [value for row in out for value in row]


def _gauges(weight: np.ndarray, x: np.ndarray, mask: str) -> tuple[np.ndarray, np.ndarray]:
    """G bounds the work behind a_ij = cov_ij / v_j, H the work behind v_j times |a_ij|, both over |v_j|."""
    w, rows = floats(weight), floats(x)
    y = rows @ w.T
    kept = {"all": np.ones_like(y), "positive": (y > 0) * 1.0, "negative": (y <= 0) * 1.0}[mask]
    count = np.maximum(kept.sum(axis=0), 1)
    work_y = np.abs(rows) @ np.abs(w).T
    work = np.abs(rows).T @ (kept * work_y) / count + np.abs(rows).T @ kept / count * work_y.mean(axis=0)
    cov = rows.T @ (kept * y) / count - rows.T @ kept / count * y.mean(axis=0)
    v = (w.T * cov).sum(axis=0)
    v = np.where(v == 0, 1.0, v)
    return 2 * work / np.abs(v), 2 * np.abs(cov / v) * (np.abs(w.T) * work).sum(axis=0) / np.abs(v)


def _hex(array: np.ndarray) -> Json:
    """Eight significant bits, rounded up."""
    mantissa, exponent = np.frexp(array)
    return {
        "shape": list(array.shape),
        "data": [float(v).hex() for v in np.ldexp(np.ceil(mantissa * 256), exponent - 8).reshape(-1)],
    }
