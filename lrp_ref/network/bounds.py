"""How far an honest floating-point explanation of a whole network may lie from the exact one.

Exact means: the same weights, inputs and conventions in real arithmetic. Let e be a bound on the error of every value of the
forward pass, E one on the error of the relevance arriving at it, u the unit roundoff, gamma_k = k u / (1 - k u). The
network's inputs have e = 0; every node adds its own rounding to what it inherits.

Forward, y = W x + b with work gauge Y = sum |w x| + |b| and fan-in m:

    e_y = |W| e + gamma_(m+4) (Y + |W| e)

a maximum has the largest e of its window, an activation L e + 8u |y| with its Lipschitz constant L, and a ReLU 0 where
x + e <= 0, so that units that are surely off stay exact.

Backward, per part n of a rule (A >= |n| its work gauge, Z = sum A + |c|, D = stab(d)). N is what the errors e can do to n:
the rule's own text runs on inputs with their errors (`algebra/uncertain.py`), and sum |v| e over its terms v u bounds |n' - n|.
The computed denominator lies within delta of d, its reciprocal within q of 1 / D, and is at most P:

    delta = sum N + gamma_(m+5) (Z + sum N),   P = sup 1 / |stab(d + t)|,   q = sup |1 / stab(d + t) - 1 / D| + 4u P

over |t| <= delta; the supremum of every stabiliser lies at the ends of that interval or beside 0. With |R'| <= |R| + E,

    |n' R' / D' - n R / D|  <=  N (|R| + E) P  +  A (E P + |R| q)

so that input i receives, over all parts and outputs, and with the roundings of products and of a sum over fan-out n,

    E_i = sum |scale| [ (1 + gamma_(n+9)) N t + A t' + gamma_(n+9) A t ],   t = (|R| + E) P,   t' = E P + |R| q

plus underflow. Relevance of a value that k nodes read adds k u sum of their messages.

Where weights depend on x (linearised activations, response norms) they are off by what the layer says (`layers/drift.py`; a
layer that says nothing is refused), and N gains |W' - W| (|x| + e); the bias of a tangent, y - W x, is off by e_y + N. Under
bias="share" the R and E above are those of F R with F = |s| / (|s| + |b|), which is monotone in |s|. Under bias="redistribute"
(c + D - d) over the number of connections is one more contribution, off by |D' - D| and what rounding and e do to the sum of n.

Where an error decides a branch, all branches count: the taps of a maximum that may win, both parts of generalised gamma
where z may have either sign, a ReLU's gradient where x may, an element that may be the mean under "at_mean_zero", a half
that may be empty under "rescale", a class that may be the maximum.

Valid for any order of summation in every node. The quantities are evaluated in float64 at the values of the run itself,
hence to first order in u where that run was in floats. Errors count as if they were independent, so the bound grows from
layer to layer far faster than errors do: where the largest B exceeds a tenth of the largest |R|, it says nothing.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from lrp_ref.algebra.rounding import LARGEST, UNIT_ROUNDOFF, capped
from lrp_ref.arrays import Array, absolute, count_of, full, namespace, where
from lrp_ref.layers.activation import softmax, softmax_error
from lrp_ref.network.composite import Assign
from lrp_ref.network.graph import Graph, inputs_of, naming
from lrp_ref.network.node_bounds import as_float64, forward_error, relevance_errors
from lrp_ref.network.start import target_of
from lrp_ref.propagation.gauges import in_float64


@dataclass(frozen=True, eq=False)
class NetworkBounds:
    """Bounds for honest results at `dtype`, float64 arrays.

    relevance: B of every element of the input (name -> array for several inputs). at: name -> B of the relevance at every
    node and input. forward: name -> e of every value. says_nothing: the names where max B > max |R| / 10. A bound that is
    infinite was left with no finite denominator.
    """

    dtype: str
    relevance: Any
    at: Mapping[str, Array]
    forward: Mapping[str, Array]
    says_nothing: tuple[str, ...]

    def __repr__(self) -> str:
        parts = self.relevance if isinstance(self.relevance, dict) else {"relevance": self.relevance}
        bounded = ", ".join(f"{name} {tuple(a.shape)} up to {_largest(a):.3g}" for name, a in parts.items())
        return f"NetworkBounds({self.dtype}: {bounded})" + (f"\n{self.warning}" if self.says_nothing else "")

    @property
    def warning(self) -> str:
        """One line on where the bound says nothing; empty where it speaks everywhere."""
        if not self.says_nothing:
            return ""
        names = ", ".join(self.says_nothing[:8]) + (", ..." if len(self.says_nothing) > 8 else "")
        return (
            f"warning: at {names} the {self.dtype} bound exceeds a tenth of the relevance and says nothing; use a wider dtype"
        )


def network_bounds(
    net: Graph,
    rules: Mapping[str, Assign],
    values: Mapping[str, Array],
    arriving: Mapping[str, Array],
    target: Any,
    seed: Any,
    dtype: str,
    started: Container[str],
) -> NetworkBounds:
    """The bounds of one explanation: `values` and `arriving` (relevance) of every node and input, whose rules are `rules`.

    started: the outputs at which relevance starts.

    Raises `LRPError`, with the node's name, for whatever a layer or rule refuses in float64.
    """
    x = {name: as_float64(a) for name, a in values.items()}
    R = {name: in_float64(a) for name, a in arriving.items()}
    e = {name: 0 * in_float64(values[name]) for name in net.inputs}
    for node in net.nodes:
        with naming(node):
            given, errors = ([table[name] for name in inputs_of(node)] for table in (x, e))
            e[node.name] = forward_error(node.layer, given, errors, dtype)
    E = {name: 0 * r for name, r in R.items()}
    messages: dict[str, list[Array]] = {name: [] for name in R}  # magnitudes, one per reader
    for name in (name for name in net.outputs if name in started):
        E[name] = seed_error(x[name], e[name], _of(target, name), _of(seed, name, "logit"), dtype)
    for node in reversed(net.nodes):
        E[node.name] = capped(E[node.name] + _summed(messages.pop(node.name), dtype))
        with naming(node):
            given, errors = ([table[name] for name in inputs_of(node)] for table in (x, e))
            at_node = {"relevance": R[node.name], "E": E[node.name], "e_y": e[node.name]}
            found = relevance_errors(rules[node.name], node.layer, given, errors, dtype=dtype, **at_node)
        for name, (B, M) in zip(inputs_of(node), found, strict=True):
            E[name] = capped(E[name] + B)
            messages[name].append(M)
    for name in net.inputs:
        E[name] = capped(E[name] + _summed(messages.pop(name), dtype))
    at = {name: where(E[name] < LARGEST, E[name], float("inf")) for name in net.names_at("all")}
    silent = tuple(name for name in at if _largest(at[name]) > _largest(absolute(R[name])) / 10)
    single = at[net.inputs[0]] if len(net.inputs) == 1 else {name: at[name] for name in net.inputs}
    return NetworkBounds(dtype, single, at, e, silent)


def seed_error(y: Array, e: Array, target: Any, seed: Any, dtype: str) -> Array:
    """E of R = t s at an output: the error of s where t is not 0, and all of s where an error may change the class."""
    xp, u, given = namespace(y), UNIT_ROUNDOFF[dtype], not isinstance(seed, str)
    s, error = y, e
    if given:
        s, error = in_float64(seed), 0 * e
    elif seed == "one":
        s, error = full(y.shape, 1, y), 0 * e
    elif seed == "probability":
        s = softmax(y, 1)
        error = softmax_error(y, e, s, 1, dtype)
    argmax = (target is None and not given) or (isinstance(target, str) and target == "argmax")
    index = target if argmax or target is None or not hasattr(target, "dtype") else as_float64(target)
    t = target_of(y, index) if argmax or target is not None else full(y.shape, 1, y)
    E = absolute(t) * error + (u * absolute(t * s) if given or target is not None else 0)
    if not argmax:
        return E
    low = xp.max(where(t != 0, y - e, -float("inf")), axis=1, keepdims=True)
    rivals = (y + e >= low) & (t == 0) & (e + xp.max(t * e, axis=1, keepdims=True) > 0)
    doubtful = xp.any(rivals, axis=1, keepdims=True) & (rivals | (t != 0))
    return where(doubtful, absolute(s) + error, E)


def _of(asked: Any, name: str, default: Any = None) -> Any:
    """What is asked of the output `name`."""
    return asked.get(name, default) if isinstance(asked, Mapping) else asked


def _summed(messages: list[Array], dtype: str) -> Any:
    """The rounding of a sum over readers."""
    return len(messages) * UNIT_ROUNDOFF[dtype] * reduce(add, messages) if len(messages) > 1 else 0


def _largest(a: Array) -> float:
    return float(namespace(a).max(a)) if count_of(a) else 0.0
