"""Known mistakes, each as a change to the question or to its answer.

Most were found in public libraries (`BUGS` in recipes/vectors.py has the list with links); the others are what a slip of the
hand gives: a sign, a transposed kernel, a factor forgotten.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from operator import mul
from typing import Any

import numpy as np

from lrp_conform.cases import model
from lrp_conform.cases.numbers import ball_array, exact_array, floats, tensor
from lrp_conform.cases.question import Question, Setting
from lrp_conform.judging.changes import Change, linear
from lrp_ref.algebra.contributions import Inputs
from lrp_ref.arrays import LRPError, neg, number, pos, where
from lrp_ref.rules import RULES, Part

Array = Any


def _after(f: Callable[[Array], Array]) -> Change:
    """The right answer, spoilt afterwards."""
    return lambda q: q.replace(after=lambda relevance: tuple(f(r) for r in relevance))


def _scaled(factor: Fraction) -> Change:
    def spoil(r: Array) -> Array:
        return (
            r * (type(r.flat[0])(factor.numerator) / type(r.flat[0])(factor.denominator))
            if r.dtype == object
            else (r * r.dtype.type(float(factor)))
        )

    return _after(spoil)


def _relevance(f: Callable[[Array], Array]) -> Change:
    """Another relevance arrives."""

    def change(q: Question) -> Question | None:
        given = exact_array(q.inputs["relevance"])
        changed = f(given)
        return None if (changed == given).all() else q.replace(inputs={**q.inputs, "relevance": tensor(changed)})

    return change


def _output_as_relevance(q: Question) -> Question | None:
    if model.index_input(q.node) or q.node["op"] == "activation":
        return None
    layer, x, relevance = q.arrays(exact_array)
    try:
        y = layer.affine(*(x if isinstance(x, tuple) else (x,))).y
    except LRPError:  # an irrational output
        return None
    return None if (y == relevance).all() else q.replace(inputs={**q.inputs, "relevance": tensor(y)})


def _param(name: str, f: Callable[[Array], Array], *ops: str) -> Change:
    """Another parameter is used for relevance."""

    def change(q: Question) -> Question | None:
        if name not in q.node["params"] or (ops and q.node["op"] not in ops):
            return None
        given = exact_array(q.node["params"][name])
        changed = f(given)
        if changed.shape == given.shape and (changed == given).all():
            return None
        return q.replace(node={**q.node, "params": {**q.node["params"], name: tensor(changed)}})

    return change


def _transposed(w: Array) -> Array:
    return np.swapaxes(w, 0, 1) if w.shape[0] == w.shape[1] else w


def _flipped_kernel(w: Array) -> Array:
    return w[(..., *(slice(None, None, -1),) * (w.ndim - 2))]


def _shifted_padding(q: Question) -> Question | None:
    """The window starts one element late: (begin, end) becomes (begin - 1, end + 1)."""
    padding = q.node["attrs"].get("padding")
    if q.node["op"] not in ("conv", "avg-pool", "sum-pool") or not padding or padding[0][0] < 1:
        return None
    shifted = [[padding[0][0] - 1, padding[0][1] + 1], *padding[1:]]
    if q.node["op"] != "conv" and shifted[0][1] >= q.node["attrs"]["kernel"][0]:
        return None
    return q.with_attrs(padding=shifted)


def work(part: Part) -> Array:
    """The magnitudes behind a part's denominator."""
    return part.n.gauge().rows() + abs(part.c)


Rewrite = Callable[[list[Part], Setting], list[Part]]


def _variant(rewrite: Rewrite, *rules: str) -> Change:
    """The rule with its parts rewritten: how a known mistake reads as a formula."""

    def change(q: Question) -> Question | None:
        if q.rule["rule"] not in rules or q.rewrite is not None or q.rule.get("padding") == "counted":
            return None
        return q.replace(rewrite=rewrite)

    return change


def _one_gradient(parts: list[Part], at: Setting) -> list[Part]:
    """s = R / D as it should be, but R_i = sum w_ji s_j: neither x nor the bounds multiply."""
    (part,) = parts
    return [Part(at.W.contributions(), 0 * part.c, over=at.over(part), over_work=work(part))]


def _undivided(parts: list[Part], at: Setting) -> list[Part]:
    """Contributions times R, never divided by their sum."""
    return [part._replace(c=0 * part.c, over=0 * (part.c + part.n.rows()) + 1) for part in parts]


def _no_input_factor(parts: list[Part], at: Setting) -> list[Part]:
    """The multiplication by x forgotten."""
    return [Part(at.W.contributions(), 0 * part.c, over=at.over(part), over_work=work(part)) for part in parts]


def _positive_inputs_only(parts: list[Part], at: Setting) -> list[Part]:
    """w- x- forgotten: (w x)+ taken as w+ x+."""
    return [parts[0]._replace(n=pos(at.W) * pos(at.x)), *parts[1:]]


def _half_of_beta_forgotten(parts: list[Part], at: Setting) -> list[Part]:
    return [parts[0], parts[1]._replace(n=neg(at.W) * pos(at.x))]


def _beta_added(parts: list[Part], at: Setting) -> list[Part]:
    return [parts[0], parts[1]._replace(scale=-1 * parts[1].scale)]


def _factors_swapped(parts: list[Part], at: Setting) -> list[Part]:
    return [parts[0]._replace(scale=-1 * parts[1].scale), parts[1]._replace(scale=-1 * parts[0].scale)]


def _bias_twice(parts: list[Part], at: Setting) -> list[Part]:
    return [part._replace(c=2 * part.c) for part in parts]


def _bias_sign(parts: list[Part], at: Setting) -> list[Part]:
    return [part._replace(c=-1 * part.c) for part in parts]


def _bounds_swapped(q: Question) -> Question | None:
    def rewrite(parts: list[Part], at: Setting) -> list[Part]:
        return [parts[0]._replace(n=at.W * at.x - pos(at.W) * at.rule.high - neg(at.W) * at.rule.low)]

    return _variant(rewrite, "z-box")(q)


def _bounds_forgotten(q: Question) -> Question | None:
    def rewrite(parts: list[Part], at: Setting) -> list[Part]:
        return [Part(at.W * at.x, 0 * parts[0].c, over=at.over(parts[0]), over_work=work(parts[0]))]

    return _variant(rewrite, "z-box")(q)


def batch_norm_quotient(epsilon: Fraction) -> Change:
    """x (y - beta) R over (x - mean) y, stabilised with a sign: LRP-0 up to epsilon, and 0 at x = mean."""

    def change(q: Question) -> Question | None:
        if q.node["op"] != "batch-norm" or q.rule["rule"] != "zero" or q.rule["bias"] != "absorb" or q.rewrite is not None:
            return None
        if "mean" not in q.node["params"]:
            return None
        read = ball_array if q.ball else exact_array
        mean = read(q.node["params"]["mean"])

        def rewrite(parts: list[Part], at: Setting) -> list[Part]:
            x = at.x.arrays[0]
            centre = mean if x.dtype == object else floats(mean).astype(x.dtype)
            from_mean = x - centre.reshape(1, -1, *(1,) * (x.ndim - 2))
            d = (parts[0].n.rows() + parts[0].c) * from_mean
            eps = number(epsilon, x)
            stabilized = where(d >= 0, d + eps, d - eps)
            over = where(from_mean != 0, stabilized / where(from_mean != 0, from_mean, 1), 0 * x)
            return [parts[0]._replace(c=0 * parts[0].c, over=over, over_work=work(parts[0]) + abs(over))]

        return q.replace(rewrite=rewrite)

    return change


def first_input_twice(q: Question) -> Question | None:
    if len(q.node["inputs"]) < 2 or q.node["op"] != "add":
        return None
    return q.replace(after=lambda relevance: (relevance[0],) * len(relevance))


def _inputs_multiplied_together(q: Question) -> Question | None:
    """One gradient shared by the inputs of a sum, multiplied in place by each of them: R_i = R / D prod_k x_k."""

    def rewrite(parts: list[Part], at: Setting) -> list[Part]:
        (part,) = parts
        product = Inputs((reduce(mul, at.x.arrays),) * len(at.x.arrays))
        return [Part(at.W * product, 0 * part.c, over=at.over(part), over_work=work(part))]

    return _variant(rewrite, *_LINEAR)(q) if q.node["op"] == "add" else None


def _swapped(r: Array) -> Array:
    flat = r.reshape(-1).copy()
    if flat.size > 1:
        flat[[0, 1]] = flat[[1, 0]]
    return flat.reshape(r.shape)


def _batch_coupled(r: Array) -> Array:
    """Every sample receives the mean of the batch: what a missing batch axis in a sum does."""
    return r * 0 + r.mean(axis=0, keepdims=True) if r.ndim > 1 else r


_LINEAR = tuple(name for name in RULES if linear(name))
_HALVES = ("alpha-beta", "z-plus")
MISTAKES: tuple[tuple[str, str, Change], ...] = (
    (
        "one-gradient",
        "one gradient of the composed bounded function: x and the bounds do not multiply",
        _variant(_one_gradient, "z-box"),
    ),
    (
        "undivided",
        "contributions never divided by their sum",
        _variant(_undivided, *_LINEAR, "w-square", "flat", "z-plus", "z-plus-fast", "gamma", "z-box", "abs-z"),
    ),
    (
        "no-input-factor",
        "the multiplication by x forgotten",
        _variant(_no_input_factor, *_LINEAR, "z-plus", "z-plus-fast", "gamma"),
    ),
    ("negative-inputs-dropped", "w- x- forgotten in the positive contributions", _variant(_positive_inputs_only, *_HALVES)),
    (
        "half-of-beta-forgotten",
        "w+ x- forgotten in the negative contributions",
        _variant(_half_of_beta_forgotten, "alpha-beta"),
    ),
    ("beta-added", "the negative half added instead of subtracted", _variant(_beta_added, "alpha-beta")),
    ("alpha-beta-swapped", "alpha and beta exchanged", _variant(_factors_swapped, "alpha-beta")),
    ("bias-twice", "the bias counted twice", _variant(_bias_twice, *_LINEAR, "gamma", "alpha-beta")),
    ("bias-sign", "the sign of the bias flipped", _variant(_bias_sign, *_LINEAR, "gamma", "alpha-beta")),
    ("bounds-swapped", "low and high exchanged", _bounds_swapped),
    ("bounds-forgotten", "bounds in the denominator, not in the numerator", _bounds_forgotten),
    ("sign", "the sign of the relevance flipped", _after(lambda r: -1 * r)),
    ("relevance-twice", "relevance applied twice", _relevance(lambda r: r * r)),
    ("relevance-ignored", "relevance taken as 1", _relevance(lambda r: 0 * r + 1)),
    ("output-as-relevance", "the layer's output taken for its relevance", _output_as_relevance),
    ("sample-0-only", "the first sample's relevance used for the whole batch", _relevance(lambda r: 0 * r + r[:1])),
    ("one-percent", "off by 1 %", _scaled(Fraction(101, 100))),
    ("one-per-mille", "off by 0.1 %", _scaled(Fraction(1001, 1000))),
    ("swapped", "two elements exchanged", _after(_swapped)),
    ("reversed", "the elements in reverse order", _after(lambda r: r.reshape(-1)[::-1].reshape(r.shape))),
    ("batch-coupled", "samples of a batch mixed", _after(_batch_coupled)),
    ("clamped", "negative relevance cut off", _after(pos)),
    ("magnitude", "the magnitude of the relevance", _after(abs)),
    ("negative-weights-dropped", "negative weights set to zero", _param("weight", pos)),
    ("transposed", "the weight matrix transposed", _param("weight", _transposed, "dense")),
    ("flipped-kernel", "the kernel flipped", _param("weight", _flipped_kernel, "conv", "conv-transpose")),
    ("padding-off-by-one", "the window starts one element late", _shifted_padding),
    ("inputs-multiplied-together", "every input of a sum multiplied by all of them", _inputs_multiplied_together),
)
