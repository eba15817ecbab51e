"""What a library does where it deviates: the rules and conventions tried, in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from conformance.compare.check import agrees
from lrp_ref.arrays import Array, LRPError
from lrp_ref.composites import Assign
from lrp_ref.composites.kinds import MOVING
from lrp_ref.dialects import DIALECTS
from lrp_ref.layers import Activation
from lrp_ref.network import Node
from lrp_ref.rules import AlphaBeta, Epsilon, Flat, Gradient, Norm, Pass, WSquare, Zero, ZPlus, ZPlusFast
from lrp_ref.stabilizers import NONE

FEW = 3  # nodes that may be to blame together and are tried one by one
NEAR = 0.01  # of the largest relevance: what is further off needs no bound to be ruled out
EPSILONS = (1e-6, 1e-7, 1e-9)
RULES = {
    "the zero rule": Zero(), "norm": Norm(), "z-plus": ZPlus(), "z-plus of the weights alone": ZPlusFast(),
    "alpha2-beta1": AlphaBeta(2, 1), "alpha1-beta0": AlphaBeta(1, 0), "w-square": WSquare(), "flat": Flat(),
}  # fmt: skip
Alternative = Callable[[Node, Assign], Assign]  # what a node gets in the place of its rule
Otherwise = Callable[[Alternative], tuple[Array, Callable[[], Array]]]


def hint(nodes: Sequence[Node], rules: Mapping[str, Assign], got: Array, otherwise: Otherwise, margin: float) -> str:
    """The first alternative for `nodes` that gives what they handed on, within `margin` times its bound; empty if none does."""
    each = nodes if len(nodes) <= FEW else ()
    for title, tried in chain(_plain(nodes), *(_conventions(node, rules[node.name]) for node in each)):
        try:
            relevance, bound = otherwise(tried)
            if _near(got, relevance) and agrees(got, relevance, margin * bound()):
                return f"the library does {title}"
        except LRPError:  # a rule or convention that this layer does not have
            continue
    return ""


def _near(got: Array, relevance: Array) -> bool:
    return bool(np.abs(got - relevance).max(initial=0) <= NEAR * np.abs(got).max(initial=0))


def _plain(nodes: Sequence[Node]) -> Iterator[tuple[str, Alternative]]:
    """What happens to nodes that the library knows no rule for: first to those of one kind, then to all."""
    kinds = list(dict.fromkeys(type(node.layer) for node in nodes if not isinstance(node.layer, MOVING)))
    for kind in kinds:
        named = ", ".join(node.name for node in nodes if type(node.layer) is kind)
        yield (
            f"the plain gradient, no rule, at {named}",
            lambda node, rule, kind=kind: (  # type: ignore[misc]
                Assign(Gradient(), sees=_slope(node)) if type(node.layer) is kind else rule
            ),
        )
    yield "the plain gradient, no rule, at all of these", lambda node, rule: Assign(Gradient(), sees=_slope(node))
    yield "a pass (relevance unchanged)", lambda node, rule: Assign(Pass(), stabilizer=NONE)


def _slope(node: Node) -> dict[str, str]:
    return {"linearization": "gradient"} if isinstance(node.layer, Activation) else {}


def _conventions(only: Node, rule: Assign) -> Iterator[tuple[str, Alternative]]:
    """At one node the same rule by other conventions, then other rules."""
    tried: list[tuple[str, Assign]] = [(f"the same rule with bias={b!r}", replace(rule, bias=b)) for b in rule.rule.bias]
    tried.append(("the same rule without a stabiliser", replace(rule, stabilizer=NONE)))
    for name, dialect in DIALECTS.items():
        tried.append((f"the same rule as in {name}", replace(rule, dialect=dialect, stabilizer=None, bias=None)))
    for epsilon in EPSILONS:
        tried.append((f"epsilon {epsilon:g}", Assign(Epsilon(epsilon))))
        tried.append((f"epsilon {epsilon:g} without the bias", Assign(Epsilon(epsilon), bias="ignore")))
    for title, other in RULES.items():
        tried += [(f"{title} as in {name}", Assign(other, dialect=dialect)) for name, dialect in DIALECTS.items()]
    for title, assign in tried:
        yield f"{title}, at {only.name}", lambda node, rule, assign=assign: assign if node is only else rule  # type: ignore[misc]
