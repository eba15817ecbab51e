"""The backward pass of a network: from the relevance at its outputs to the relevance of its inputs.

Every node hands the relevance R that arrives at its output to what it reads, by the rule its composite assigns:

    R_in of node v = propagate(layer of v, values v reads, R at v, rule of v),    R at a value = sum over its readers

and, at an output, the seed besides. Nodes are taken in reverse order, so R at a value is whole before it is handed on.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from lrp_ref.algebra.rounding import UNIT_ROUNDOFF
from lrp_ref.arrays import Array, LRPError, absolute, all_finite, checked, full, is_exact, namespace
from lrp_ref.network.composite import Assign, Composite, resolved
from lrp_ref.network.graph import Graph, Node, inputs_of, naming, run
from lrp_ref.network.start import start_relevance
from lrp_ref.propagation.gauges import in_float64
from lrp_ref.propagation.ledger import Ledger, NetworkLedger, NodeAccount
from lrp_ref.values import refuse_lacking

if TYPE_CHECKING:
    from lrp_ref.network.bounds import NetworkBounds


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a network's inputs mean for its outputs.

    relevance: of the input, in its namespace, dtype, device and shape (name -> array for several inputs). output: what the
    network returned (name -> array for several outputs). at, ledgers: the relevance at every node or input that was asked
    for, shaped as its value, and the nodes' own ledgers; where relevance only passes, two nodes may share one array. ledger:
    the account of the whole network, made when it is read, by explaining once more, unless `account` asked for it: leave x,
    target and seed as they are until then. bounds: how far honest rounding may lie, where it was asked for.
    """

    relevance: Any
    output: Any
    at: Mapping[str, Array]
    ledgers: Mapping[str, Ledger]
    ledger: NetworkLedger
    bounds: "NetworkBounds | None" = None

    def __repr__(self) -> str:
        parts = self.relevance if isinstance(self.relevance, dict) else {"relevance": self.relevance}
        shapes = ", ".join(f"{name} {tuple(a.shape)}" for name, a in parts.items())
        warning = "" if self.bounds is None or not self.bounds.says_nothing else f"\n{self.bounds.warning}"
        return f"Explanation({shapes}; at {', '.join(self.at) or 'no node'}){warning}"

    def __str__(self) -> str:
        """The same, and the account as a table."""
        return f"{self!r}\n{self.ledger}"


def explain(
    net: Graph,
    x: Any,
    composite: Composite | str,
    *,
    target: Any = None,
    seed: Any = "logit",
    at: Iterable[str] = (),
    bounds: str | bool = False,
    account: bool = False,
    progress: Callable[[Node], None] | None = None,
) -> Explanation:
    """The relevance of every input at x for the seed R = t s at the output.

    x: an array with the batch first, or name -> array. composite: the rule of every node, or the name of a preset.
    target: t, a class, classes per sample (N,), "argmax", or an array of the output's shape; None is "argmax", and the
    whole output where the seed is an array. seed: s, "logit" (the output), "one", "probability" (its softmax), or an array
    of the output's shape. For several outputs, either is name -> value, and an output that neither names starts nothing.
    at: the nodes and inputs whose relevance and ledger are kept, or "all"; what is not kept is freed on the way.
    bounds: the dtype ("float32", ...) whose honest results are bounded, or True for that of x; keeps every value.
    account: makes the accounts of all nodes on the way, for a `ledger` that will be read. progress: called with every node
    twice, once its value is known and once its relevance has been handed on.

    Raises `LRPError` for nodes without a rule, and whatever a layer or rule refuses, with the node's name.
    """
    composite = resolved(composite)
    if callable(composite):
        example = "lrp_ref.composites.zennit.epsilon_plus()"
        raise LRPError(f"composite: expected a Composite, such as {example}; got {composite!r}"[:200])
    refuse_lacking("composite", composite, ("assign(net)",), "lrp_ref.Composite([lrp_ref.Assign(rule)])", "lrp_ref.Composite")
    rules, wanted = composite.assign(net), net.names_at(at)
    values = run(net, net.named_inputs(x), net.names_at("all"), progress)
    outputs = {name: values[name] for name in net.outputs}
    seeds = start_relevances(outputs, target, seed)
    judged = _dtype(bounds, outputs) if bounds else None
    arriving: dict[str, Array] = dict(seeds)
    seen: dict[str, Array] = {}  # the relevance at every node whose relevance is kept
    ledgers: dict[str, Ledger] = {}
    accounts: dict[str, NodeAccount] = {}
    for step in backward(net, rules, dict(values) if judged else values, arriving):
        name = step.node.name
        if name in wanted:
            ledgers[name] = step.ledger
        if name in wanted or judged:
            seen[name] = step.relevance
        if account:
            accounts[name] = step.account()
        if progress is not None:
            progress(step.node)
    seen |= {name: arriving[name] for name in net.inputs}

    def accounted() -> Iterator[Step]:
        """The steps once more, whose accounts are kept."""
        rows = {}
        for step in repeated(net, x, rules, target, seed):
            rows[step.node.name] = step.account()
            yield step
        accounts.update(rows)

    received = {name: _sums(arriving[name], arriving[name].shape[0]) for name in net.inputs}
    first = next(iter(received.values()))
    ledger = NetworkLedger(
        seed={name: _sums(r, r.shape[0]) for name, r in seeds.items()},
        received=received,
        accounts=lambda: accounts or {step.node.name: step.account() for step in repeated(net, x, rules, target, seed)},
        bound=lambda: 0 * first if is_exact(first) else tolerance(net, accounted()),
    )
    bounded = None
    if judged:
        from lrp_ref.network.bounds import network_bounds  # only where it is asked for

        bounded = network_bounds(net, rules, values, seen, target, seed, judged, seeds)
    relevance = {name: arriving[name] for name in net.inputs}
    kept = {name: seen[name] for name in wanted}
    return Explanation(single(relevance), single(outputs), kept, ledgers, ledger, bounded)


@dataclass(frozen=True, eq=False)
class Step:
    """One node of the backward pass: what arrived, what its inputs received, and the node's ledger."""

    node: Node
    relevance: Array
    received: tuple[Array, ...]
    ledger: Ledger

    def account(self) -> NodeAccount:
        """The ledger in sums per sample."""
        batch = self.relevance.shape[0]
        columns = {name: _sums(getattr(self.ledger, name), batch) for name in ("bias", "stabilizer", "dropped")}
        received = reduce(add, (_sums(r, batch) for r in self.received))
        return NodeAccount(arrived=_sums(self.relevance, batch), received=received, **columns)


def backward(net: Graph, rules: Mapping[str, Assign], values: dict[str, Array], arriving: dict[str, Array]) -> Iterator[Step]:
    """Every node in reverse order. `arriving` starts with the seeds and ends with the relevance of the inputs.

    A value leaves `values`, and its relevance `arriving`, as soon as the pass no longer needs it.
    """
    for node in reversed(net.nodes):
        value = values.pop(node.name)
        relevance = arriving.pop(node.name) if node.name in arriving else full(value.shape, 0, value)
        with naming(node):
            found = rules[node.name].propagate(node.layer, tuple(values[name] for name in inputs_of(node)), relevance, value)
            for name, r in zip(inputs_of(node), found.relevance, strict=True):
                arriving[name] = summed(arriving[name], r) if name in arriving else r
        yield Step(node, relevance, found.relevance, found.ledger)


def summed(a: Array, b: Array) -> Array:
    """The relevance that two readers hand back."""
    with np.errstate(over="ignore"):  # what overflows is refused
        total = a + b
    if not is_exact(total) and not all_finite(total):
        raise LRPError(f"the sum of what its readers hand back overflows {total.dtype}; use a wider dtype, or scale the data")
    return total


def start_relevances(outputs: Mapping[str, Array], target: Any, seed: Any) -> dict[str, Array]:
    """The relevance that starts at every output: target and seed for one, name -> target or seed for several."""
    named = {what: given for what, given in (("target", target), ("seed", seed)) if isinstance(given, Mapping)}
    for what, given in named.items():
        for name in given:
            if name not in outputs:
                raise LRPError(f"{what}: {name!r} is no output; the outputs are {', '.join(outputs)}")
    if len(outputs) > 1 and not named:
        shape = "{" + ", ".join(f"{name!r}: ..." for name in outputs) + "}"
        raise LRPError(f"several outputs: name those to explain as target={shape}, or give seed={shape}")
    asked = [name for name in outputs if not named or any(name in given for given in named.values())]
    seeds = {}
    for name in asked:
        t = target.get(name) if isinstance(target, Mapping) else target
        s = seed.get(name, "logit") if isinstance(seed, Mapping) else seed
        try:
            with np.errstate(over="ignore"):  # what overflows is refused
                seeds[name] = checked("target times seed", start_relevance(outputs[name], t, s))
        except LRPError as error:
            raise LRPError(f"output {name!r}: {error}") from None
    return seeds


def repeated(net: Graph, x: Any, rules: Mapping[str, Assign], target: Any, seed: Any) -> Iterator[Step]:
    """The steps of an explanation, once more: what was not kept the first time."""
    values = run(net, net.named_inputs(x), net.names_at("all"))
    outputs = {name: values[name] for name in net.outputs}
    return backward(net, rules, values, start_relevances(outputs, target, seed))


def tolerance(net: Graph, steps: Iterator[Step]) -> Array:
    """Per sample, how far rounding may leave the network's audit identity off.

    The sum of the nodes' own tolerances, of the roundings of sums over readers, and of those of the account's sums.
    """
    readers = {name: len(net.readers(name)) + 1 for name in net.names_at("all")}
    total: Any = 0
    for step in steps:
        batch, ledger = step.relevance.shape[0], step.ledger
        u = UNIT_ROUNDOFF[dtype_of(step.relevance)]
        columns = (step.relevance, ledger.bias, ledger.stabilizer, ledger.dropped)
        moved = zip(inputs_of(step.node), step.received, strict=True)
        sizes = [*((prod(a.shape[1:]) + 8, a) for a in columns), *((prod(r.shape[1:]) + readers[n], r) for n, r in moved)]
        total = total + _sums(ledger.tolerance, batch)
        for count, a in sizes:
            total = total + (count + len(net.nodes)) * u * in_float64(_sums(absolute(a), batch))
    return total


def single(arrays: Mapping[str, Array]) -> Any:
    """The array itself where there is one, else name -> array."""
    return next(iter(arrays.values())) if len(arrays) == 1 else dict(arrays)


def dtype_of(a: Array) -> str:
    """The name of a float array's dtype, such as "float32"."""
    return str(a.dtype).rsplit(".", 1)[-1]


def _dtype(bounds: str | bool, outputs: Mapping[str, Array]) -> str:
    """The dtype whose results are bounded."""
    first = next(iter(outputs.values()))
    if bounds is True and is_exact(first):
        raise LRPError("bounds: the arithmetic is exact; name the dtype to bound, such as bounds='float32'")
    name = dtype_of(first) if bounds is True else bounds
    if name not in UNIT_ROUNDOFF:
        raise LRPError(f"bounds are known for {', '.join(UNIT_ROUNDOFF)}; got {name!r}")
    return str(name)


def _sums(a: Array, batch: int) -> Array:
    """Sums per sample, (N,)."""
    xp = namespace(a)
    return xp.sum(xp.reshape(a, (batch, prod(a.shape) // max(batch, 1))), axis=-1)
