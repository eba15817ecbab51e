"""One case from start to end: the relevance handed back and the ledger."""

from fractions import Fraction
from math import prod

from .layers import build
from .rules import BIAS_IGNORED_BY_DEFAULT, factors, parts_of, stabilize, terms_of, with_bias
from .tensors import ZERO, Json, Layer, Output, Tensor, number, tensor


class Account:
    """Where relevance went: to the inputs, and per output to the three columns of the ledger."""

    def __init__(self, layer: Layer) -> None:
        self.relevance = {key: [ZERO] * prod(shape) for key, shape in layer.relevance_shapes.items()}
        outputs = sum(len(sample) for sample in layer.samples)
        self.bias, self.stabilizer, self.dropped = ([ZERO] * outputs for _ in range(3))


def gradient(account: Account, out: Output, j: int, r: Fraction) -> None:
    """R_i = sum_j w_ji R_j. What the weights do not add up to is dropped (or, negative, created)."""
    for t in out.taps:
        account.relevance[t.input][t.index] += t.w * r
    account.dropped[j] += r - sum((t.w for t in out.taps), ZERO) * r


def bias_share(out: Output, r: Fraction) -> Fraction:
    """What the bias keeps of R_j when it takes its share first: |b| / (|s| + |b|). Nothing where there is no bias."""
    if out.bias == 0:
        return ZERO
    s = sum((t.w * t.x for t in out.taps), ZERO)
    return abs(out.bias) / (abs(s) + abs(out.bias)) * r


def spread(account: Account, layer: Layer, rule: Json, arriving: list[Fraction]) -> None:
    """R_i = sum_k sum_j f n_ji / D_j R_j, with everything that is not n_ji written into the ledger."""
    default = {"kind": "signed_add", "epsilon": rule.get("epsilon", 0)} if rule["rule"] == "epsilon" else {}
    stab = rule.get("stabilizer") or default
    kind, eps, at_zero = stab.get("kind", "none"), number(stab.get("epsilon", 0)), int(stab.get("sign_at_zero", 1))
    mode = rule.get("bias", "ignore" if rule["rule"] in BIAS_IGNORED_BY_DEFAULT else "absorb")
    counted = {"absent": False, "counted": True}[rule.get("padding", "absent")]
    rescale = {"keep": False, "rescale": True}[rule.get("empty_half", "keep")]
    parts = [with_bias(part, mode) for part in parts_of(rule, layer)]

    # terms[k][n][j]: part k, sample n, output j
    terms = [
        [[terms_of(part, out, counted, kind == "abs_share") for out in sample] for sample in layer.samples] for part in parts
    ]
    ds = [[[term.d for term in sample] for sample in part] for part in terms]
    everywhere = [[d for sample in part for d in sample] for part in ds]

    place = -1  # of the output in the whole tensor
    for n, sample in enumerate(layer.samples):
        for j, out in enumerate(sample):
            place += 1
            r = arriving[place]
            if out.blocked:
                account.dropped[place] += r
                continue
            if mode == "share":
                kept = bias_share(out, r)
                account.bias[place] += kept
                r -= kept
            fs = factors(parts, [ds[k][n][j] for k in range(len(parts))], rescale)
            given = ZERO  # sum of f over the parts that have a denominator
            for k, part in enumerate(parts):
                if not part.serves(out):
                    continue
                term, d = terms[k][n][j], ds[k][n][j]
                stable = stabilize(kind, eps, at_zero, d, ds[k][n], everywhere[k])
                if stable == 0:
                    continue
                given += fs[k]
                unit = fs[k] * r / stable
                for t, value in zip(out.taps, term.taps, strict=True):
                    account.relevance[t.input][t.index] += value * unit
                account.dropped[place] += sum(term.padding, ZERO) * unit
                if mode == "redistribute":
                    hand_on(account, out, place, (term.c + stable - d) * unit)
                else:
                    account.bias[place] += term.c * unit
                    account.stabilizer[place] += (stable - d) * unit
            account.dropped[place] += (1 - given) * r


def hand_on(account: Account, out: Output, place: int, amount: Fraction) -> None:
    """In equal parts to the connections; dropped where there is none."""
    if not out.taps:
        account.dropped[place] += amount
    for t in out.taps:
        account.relevance[t.input][t.index] += amount / len(out.taps)


def data_bounds(rule: Json, layer: Layer, name: str, x: Tensor) -> Json:
    """Box bounds "min" and "max" spelled out: the extreme of what relevance sees of each sample, once per element.

    Relevance sees x, but copies (all 1) of an embedding's rows, and x - mean of a centered batch norm.
    """
    shape = layer.relevance_shapes[name]
    seen = list(x.data) if prod(shape) == len(x.data) else [ZERO] * prod(shape)
    for sample in layer.samples:
        for out in sample:
            for t in out.taps:
                if t.input == name:
                    seen[t.index] = t.x
    size = max(1, len(seen) // shape[0])
    spelled = dict(rule)
    for key in ("low", "high"):
        if rule.get(key) in ("min", "max"):
            extreme = {"min": min, "max": max}[rule[key]]
            samples = [seen[k : k + size] for k in range(0, len(seen), size)]
            spelled[key] = {"shape": list(shape), "data": [str(extreme(s)) for s in samples for _ in s]}
    return spelled


def explain(case: Json) -> Json:
    (node,) = case["model"]["nodes"]
    layer = build(node, case["inputs"])
    first = node["inputs"][0]
    rule = data_bounds(case["rules"][node["name"]], layer, first, tensor(case["inputs"][first]))
    arriving = tensor(case["inputs"]["relevance"])
    if arriving.shape != layer.y_shape:
        raise ValueError(f"relevance of shape {arriving.shape} arrives at an output of shape {layer.y_shape}")
    account = Account(layer)
    outputs = [out for sample in layer.samples for out in sample]
    if rule["rule"] == "gradient":
        for j, out in enumerate(outputs):
            if out.blocked:
                account.dropped[j] += arriving.data[j]
            else:
                gradient(account, out, j, arriving.data[j])
    else:
        spread(account, layer, rule, arriving.data)
    ys = [out.y for out in outputs]
    return {
        "y": None if None in ys else {"shape": layer.y_shape, "data": ys},
        "relevance": {key: {"shape": shape, "data": account.relevance[key]} for key, shape in layer.relevance_shapes.items()},
        "ledger": {key: {"shape": layer.y_shape, "data": getattr(account, key)} for key in ("bias", "stabilizer", "dropped")},
    }
