"""A comparison: end to end and node by node, and the verdict they add up to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import lrp_ref
from conformance.commands.common import progress
from conformance.compare.check import VERDICTS, Check
from conformance.compare.given import Given, checked
from conformance.compare.walk import Walk
from lrp_ref.arrays import Array
from lrp_ref.composites import Assign, Composite, named
from lrp_ref.gauges import in_float64
from lrp_ref.network import Network, inputs_of

OWN = 2.0  # the reference itself rounds in float64
MERGED = 2.0  # a library's own merged weights carry a few roundings more than the bound of given weights counts


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a library's relevance is, beside the reference's in float64 on the same weights.

    whole: the relevance of every input, judged as one piece. nodes: from the outputs to the inputs, what every node hands
    on, given what the library has there; empty where the library showed the inputs' relevance only. forward: the values.
    unmatched: what the library named and no node stands for. unseen: nodes at which the library showed no relevance.
    reference: the reference's relevance of every input, from its own values. rules, kinds: node -> what it got, and is.
    """

    library: str
    composite: str
    dtype: str
    whole: tuple[Check, ...]
    nodes: tuple[Check, ...]
    forward: tuple[Check, ...]
    unmatched: tuple[str, ...]
    unseen: tuple[str, ...]
    reference: Mapping[str, Array]
    given: Given
    kinds: Mapping[str, str]
    rules: Mapping[str, str]

    @property
    def verdict(self) -> str:
        """ "forward-mismatch" (the models differ), "deviates", "agrees", "close" or "unproved"; see `Check`.

        It agrees if the whole does, or if every node does.
        """
        if any(c.verdict == "deviates" for c in self.forward):
            return "forward-mismatch"
        if self.deviations or any(c.verdict == "deviates" for c in self.whole):
            return "deviates"
        grades = [max((VERDICTS.index(c.verdict) for c in part), default=len(VERDICTS)) for part in (self.whole, self.nodes)]
        return VERDICTS[min(grades)]

    @property
    def passed(self) -> bool:
        """Whether it agrees, or is as close as was asked for."""
        return self.verdict in ("agrees", "close")

    @property
    def deviations(self) -> tuple[Check, ...]:
        """The nodes that hand on something else, the first of the backward pass first."""
        return tuple(c for c in self.nodes if c.verdict == "deviates")

    def __str__(self) -> str:
        from conformance.compare.text import text  # needs rich

        return text(self)

    def json(self) -> str:
        """Everything but the arrays."""
        data = {
            "library": self.library,
            "composite": self.composite,
            "dtype": self.dtype,
            "reference": lrp_ref.__version__,
            "verdict": self.verdict,
            **{part: [c.as_dict() for c in getattr(self, part)] for part in ("whole", "nodes", "forward")},
            "kinds": dict(self.kinds),
            "rules": dict(self.rules),
            "unmatched": self.unmatched,
            "unseen": self.unseen,
        }
        return json.dumps(data, indent=1)


def compare(
    net: Network,
    x: Any,
    given: Given,
    composite: str | Composite,
    *,
    target: Any = None,
    seed: Any = "logit",
    merged: bool = False,
    close: float = 0.0,
) -> Comparison:
    """Judge what a library gave for `net` at x (an array, or name -> array) by the reference's rules.

    net: in float64, such as of `load_onnx(path, convert=in_float64)`. composite: or its name, "zennit.epsilon_plus".
    target, seed: what the library explained, as of `Network.explain`. merged: the library merges batch norms itself, at its
    own precision: bounds count twice. close: the error, relative to the largest relevance, that passes as "close" where the
    bound proves nothing. On a terminal a bar shows the nodes done.

    Raises `LRPError` for arrays that do not fit, and whatever a rule refuses, with the node's name.
    """
    name = composite if isinstance(composite, str) else composite.name
    composite = named(composite) if isinstance(composite, str) else composite
    arrays = {name: in_float64(a) for name, a in net.given(x).items()}
    target, seed = _wide(target), _wide(seed)
    rules = composite.assign(net)
    checked(net, given, net.forward(arrays, at="all"))
    seen = len(given.relevance) > len(net.inputs) or bool(given.messages)
    with progress((2 if seen else 1) * len(net.nodes), "nodes") as advance:
        margin = (MERGED if merged else 1.0) * (OWN if given.dtype == "float64" else 1.0)
        walk = Walk(net, rules, given, given.dtype, margin, close, advance)
        values, forward = walk.forward(arrays)
        nodes = walk.backward(values, target, seed) if seen else []
        ends = replace(walk, given=given.ends(net))
        whole = ends.backward(ends.forward(arrays)[0], target, seed)
    explained = net.explain(arrays, composite, target=target, seed=seed).relevance
    return Comparison(
        library=given.library,
        composite=name,
        dtype=given.dtype,
        whole=tuple(whole),
        nodes=tuple(nodes),
        forward=tuple(forward),
        unmatched=tuple(given.unmatched),
        unseen=tuple(node.name for node in net.nodes if not _seen(net, given, node.name)) if seen else (),
        reference=explained if isinstance(explained, Mapping) else {net.inputs[0]: explained},
        given=given,
        kinds={node.name: type(node.layer).__name__ for node in net.nodes},
        rules={name: _said(rule) for name, rule in rules.items()},
    )


def _wide(asked: Any) -> Any:
    """A target or seed with its float arrays in float64."""
    if isinstance(asked, Mapping):
        return {name: _wide(a) for name, a in asked.items()}
    return in_float64(asked) if hasattr(asked, "dtype") and "float" in str(asked.dtype) else asked


def _seen(net: Network, given: Given, name: str) -> bool:
    """Whether the relevance that arrives at a node is known: as it is, or by what every reader hands to it."""
    reads = [(node.name, k) for node in net.readers(name) for k, read in enumerate(inputs_of(node)) if read == name]
    return name in given.relevance or (
        bool(reads) and name not in net.outputs and all(edge in given.messages for edge in reads)
    )


def _said(rule: Assign) -> str:
    """A rule in a few characters: its name and its numbers."""
    numbers = {f.name: getattr(rule.rule, f.name) for f in fields(rule.rule)}
    shown = ", ".join(f"{k}={v!r}" for k, v in numbers.items() if isinstance(v, int | float | str))
    return type(rule.rule).__name__ + (f"({shown})" if shown else "")
