"""Layers that work element by element or only move values."""

from collections.abc import Callable
from fractions import Fraction
from math import prod

from .tensors import (
    ONE,
    ZERO,
    Json,
    Output,
    Shape,
    Tap,
    Tensor,
    affine,
    channel_of,
    exact_sqrt,
    flat,
    number,
    per_axis,
    positions,
    tap,
)

Place = tuple[int, ...]


def maybe_sqrt(value: Fraction) -> Fraction | None:
    try:
        return exact_sqrt(value)
    except ValueError:
        return None


def batch_norm(tap0: Tap, gamma: Fraction, beta: Fraction, mean: Fraction, variance: Fraction, attrs: Json) -> Output:
    """One element. y is left out if its root is irrational; the root that relevance needs must be rational."""
    epsilon, mode = number(attrs.get("epsilon", 0)), attrs.get("linearization", "affine")
    sigma = maybe_sqrt(variance + epsilon)
    y = gamma / sigma * (tap0.x - mean) + beta if sigma is not None else None
    if mode == "without_epsilon":
        root = exact_sqrt(variance)
    elif mode == "variance_squared":
        root = exact_sqrt(variance * variance + epsilon)
    else:
        root = exact_sqrt(variance + epsilon)
    if root == 0:
        raise ValueError("batch-norm divides by a root that is zero")
    g = gamma / root
    if mode == "centered":
        return Output([tap0._replace(w=g, x=tap0.x - mean)], beta, y)
    if mode == "variance_squared":
        return Output([tap0._replace(w=g)], beta - mean / root, y)
    if mode not in ("affine", "without_epsilon", "at_mean_zero"):
        raise ValueError(f"unknown linearization {mode}")
    return Output([tap0._replace(w=g)], beta - g * mean, y, blocked=mode == "at_mean_zero" and tap0.x == mean)


def bent(tap0: Tap, attrs: Json) -> tuple[Fraction, Fraction] | None:
    """The function's value and its derivative at one element; None if they are not rational."""
    function, x = attrs["function"], tap0.x
    if function == "relu":
        return (x, ONE) if x > 0 else (ZERO, ZERO)
    if function == "leaky-relu":
        given = attrs.get("slope", 0)
        slope = number(given[tap0.channel] if isinstance(given, list) else given)
        return (x, ONE) if x > 0 else (slope * x, slope)
    if function == "clip":
        if "high" in attrs and x >= number(attrs["high"]):
            return number(attrs["high"]), ZERO
        if "low" in attrs and x <= number(attrs["low"]):
            return number(attrs["low"]), ZERO
        return x, ONE
    if function == "hard-sigmoid":
        slope = number(attrs.get("slope", "1/6"))
        line = slope * x + Fraction(1, 2)
        return (line, slope) if 0 < line < 1 else (ZERO if line <= 0 else ONE, ZERO)
    return None


def activation(tap0: Tap, attrs: Json) -> Output:
    function, mode, x = attrs["function"], attrs.get("linearization", "identity"), tap0.x
    found = bent(tap0, attrs)
    if mode == "identity":
        return Output([tap0._replace(w=ONE)], y=None if found is None else found[0])
    if found is None:
        raise ValueError(f"{function} is not rational")
    y, derivative = found
    if mode == "gradient":
        return Output([tap0._replace(w=derivative)], y=y)
    if mode == "ratio":
        return Output([tap0._replace(w=y / x if x != 0 else ZERO)], y=y)
    raise ValueError(f"unknown linearization {mode}")


def response_norm(name: str, x: Tensor, at: Place, attrs: Json) -> Output:
    """One element x_c of local response normalisation, x_c / s^beta with s = bias + alpha / size * (sum of squares)."""
    size, share, beta = attrs["size"], number(attrs["alpha"]) / attrs["size"], number(attrs["beta"])
    if beta.denominator != 1:
        raise ValueError(f"a power of {beta} is not rational")
    c, power = at[1], int(beta)
    around = [k for k in range(c - (size - 1) // 2, c + size // 2 + 1) if 0 <= k < x.shape[1]]
    taps = {k: tap(name, x, flat((at[0], k, *at[2:]), x.shape)) for k in around}
    s = number(attrs["bias"]) + share * sum(t.x * t.x for t in taps.values())
    own = number(attrs["bias"]) + share * taps[c].x * taps[c].x
    if s <= 0:
        raise ValueError("a power of what is not above zero")
    y = taps[c].x / s**power
    slope = {k: -2 * power * share * taps[c].x * t.x / s ** (power + 1) for k, t in taps.items()}
    if attrs["linearization"] == "ratio":
        return Output([taps[c]._replace(w=1 / s**power)], y=y)
    if attrs["linearization"] == "taylor":
        weights = {k: 1 / own**power if k == c else slope[k] for k in taps}
        return Output([t._replace(w=weights[k]) for k, t in taps.items()], y=y)
    if attrs["linearization"] != "gradient":
        raise ValueError(f"unknown linearization {attrs['linearization']}")
    tangent = [t._replace(w=slope[k] + (1 / s**power if k == c else 0)) for k, t in taps.items()]
    return Output(tangent, y - sum(t.w * t.x for t in tangent), y)


def scaled(name: str, x: Tensor, at: Place, params: dict[str, Tensor]) -> Output:
    """One element of weight * x + bias, whose axes of length 1 are shared."""
    given = {"weight": ONE, "bias": ZERO}
    for key, values in params.items():
        place = [0 if n == 1 else p for p, n in zip(at[1:], values.shape, strict=True)]
        given[key] = values.data[flat(place, values.shape)]
    return affine([tap(name, x, flat(at, x.shape), given["weight"])], given["bias"])


def embedding(name: str, x: Tensor, weight: Tensor, attrs: Json) -> tuple[Shape, list[list[Output]]]:
    """Relevance sees a copy: every output element hangs on its index (or, kept, on itself) with w = 1, x = 1."""
    width, per_sample = weight.shape[1], prod(x.shape[1:])
    keep = {"sum": False, "keep": True}[attrs.get("reduce", "sum")]
    samples = []
    for n in range(x.shape[0]):
        outputs = []
        for i in range(n * per_sample, (n + 1) * per_sample):
            word = int(x.data[i])
            for k in range(width):
                to = i * width + k if keep else i
                outputs.append(Output([Tap(ONE, ONE, name, to, 0)], y=weight.data[word * width + k]))
        samples.append(outputs)
    return [*x.shape, width], samples


def moved(op: str, names: list[str], xs: dict[str, Tensor], attrs: Json) -> tuple[Shape, Callable]:
    """Output shape, and for an output place the input name and place it reads (None: it reads a constant)."""
    name, shape = names[0], xs[names[0]].shape
    axes = len(shape) - 2
    if op == "permute":
        order = [0, *attrs["axes"]]
        return [shape[a] for a in order], lambda at: (name, tuple(at[order.index(a)] for a in range(len(shape))))
    if op == "slice":
        axis, begin, step = attrs["axis"], attrs["begin"], attrs["step"]
        out = list(shape)
        out[axis] = len(range(begin, attrs["end"], step))
        return out, lambda at: (name, (*at[:axis], begin + step * at[axis], *at[axis + 1 :]))
    if op == "upsample":
        scale = [1, 1, *per_axis(attrs, "scale", None, axes)]
        out = [n * s for n, s in zip(shape, scale, strict=True)]
        return out, lambda at: (name, tuple(p // s for p, s in zip(at, scale, strict=True)))
    if op in ("pad", "crop"):
        sign = 1 if op == "pad" else -1
        ends = [[0, 0], [0, 0], *attrs["padding" if op == "pad" else "crop"]]
        out = [n + sign * (b + e) for n, (b, e) in zip(shape, ends, strict=True)]

        def read(at: Place) -> tuple[str, Place] | None:
            place = tuple(p - sign * b for p, (b, _) in zip(at, ends, strict=True))
            return (name, place) if all(0 <= p < n for p, n in zip(place, shape, strict=True)) else None

        return out, read
    if op == "concat":
        axis = attrs.get("axis", 1) % len(shape)
        out = list(shape)
        out[axis] = sum(xs[key].shape[axis] for key in names)

        def pick(at: Place) -> tuple[str, Place]:
            p = at[axis]
            for key in names:
                if p < xs[key].shape[axis]:
                    return key, (*at[:axis], p, *at[axis + 1 :])
                p -= xs[key].shape[axis]
            raise IndexError(at)

        return out, pick
    raise ValueError(f"unknown op {op}")


VALUE_OPS = (
    "batch-norm",
    "activation",
    "embedding",
    "add",
    "concat",
    "flatten",
    "reshape",
    "permute",
    "pad",
    "crop",
    "upsample",
    "slice",
    "lrn",
    "scale",
    "identity",
    "dropout",
    "softmax",
)


def value_layer(
    op: str, names: list[str], xs: dict[str, Tensor], params: dict[str, Tensor], attrs: Json
) -> tuple[Shape, list[list[Output]]]:
    name, x = names[0], xs[names[0]]
    if op == "embedding":
        return embedding(name, x, params["weight"], attrs)
    y_shape, outputs = x.shape, []
    if op in ("concat", "permute", "pad", "crop", "upsample", "slice"):
        y_shape, source = moved(op, names, xs, attrs)
        for at in positions(y_shape):
            found = source(at)
            if found is None:
                outputs.append(affine([], number(attrs.get("value", 0))))
            else:
                outputs.append(affine([tap(found[0], xs[found[0]], flat(found[1], xs[found[0]].shape))]))
    elif op == "add":
        if any(xs[key].shape != x.shape for key in names):
            raise ValueError("add needs inputs of one shape")
        outputs = [affine([tap(key, xs[key], i) for key in names]) for i in range(len(x.data))]
    elif op == "batch-norm":
        for i in range(len(x.data)):
            c = channel_of(i, x.shape)
            gamma, beta, mean, variance = (params[key].data[c] for key in ("gamma", "beta", "mean", "variance"))
            outputs.append(batch_norm(tap(name, x, i), gamma, beta, mean, variance, attrs))
    elif op == "lrn":
        outputs = [response_norm(name, x, at, attrs) for at in positions(x.shape)]
    elif op == "scale":
        outputs = [scaled(name, x, at, params) for at in positions(x.shape)]
    elif op == "softmax":  # relevance sees a copy; y is not rational
        outputs = [Output([tap(name, x, i)]) for i in range(len(x.data))]
    elif op == "activation":
        outputs = [activation(tap(name, x, i), attrs) for i in range(len(x.data))]
    else:  # flatten, reshape, identity, dropout
        per_sample = prod(x.shape[1:])
        y_shape = [x.shape[0], *{"flatten": [per_sample], "reshape": attrs.get("shape")}.get(op, x.shape[1:])]
        if -1 in y_shape[1:]:
            known = -prod(y_shape[1:])
            y_shape = [per_sample // known if n == -1 else n for n in y_shape]
        outputs = [affine([tap(name, x, i)]) for i in range(len(x.data))]
    size = len(outputs) // y_shape[0]
    return y_shape, [outputs[n * size : (n + 1) * size] for n in range(y_shape[0])]
