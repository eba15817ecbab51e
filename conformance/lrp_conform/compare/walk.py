"""The judgement: wherever the library shows what it has, the reference goes on from there.

Forward, every node is applied to the library's own values of its inputs; backward, its rule to the library's own relevance
of its output, where the library gave them, and to the reference's where not. What the node hands to its inputs is then
judged within the bound of the layers in between (`lrp_ref.network.node_bounds`), which for a node between two known
values is that of
one layer: a deviation is named at the node that makes it, and nothing that was inherited counts.

Given only the relevance of the inputs, the same walk judges the network as one piece.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from operator import add
from typing import Any

import numpy as np

from lrp_conform.compare.check import ValueCheck, check
from lrp_conform.compare.given import Given
from lrp_conform.compare.hints import Alternative, Otherwise, hint
from lrp_ref.algebra.rounding import LARGEST, UNIT_ROUNDOFF, capped
from lrp_ref.arrays import Array
from lrp_ref.composites import Assign
from lrp_ref.network.bounds import seed_error
from lrp_ref.network.explain import start_relevances
from lrp_ref.network.graph import Node, inputs_of, naming
from lrp_ref.network.network import Network
from lrp_ref.network.node_bounds import forward_error, relevance_errors
from lrp_ref.propagation.settle import output

SEED = "(seed)"


@dataclass(frozen=True, eq=False)
class Values:
    """What every node reads and computes: `at` with error `e` as its readers see it, `own` with error `e_own` as the
    reference computes it from what the node reads."""

    at: dict[str, Array]
    e: dict[str, Array]
    own: dict[str, Array]
    e_own: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Sent:
    """What was handed to a value by the nodes `by`: by the reference, with the bound B of its error and the work behind it.

    by is empty where the library itself says what was handed. otherwise: the same, and its B, by other rules of `by`.
    """

    by: tuple[str, ...]
    relevance: Array
    B: Array
    work: Array
    otherwise: Otherwise


@dataclass(frozen=True, eq=False)
class Walk:
    """One network, its rules, and what the library gave, judged within `margin` times the bounds of `dtype`.

    Bounds are linear in the unit roundoff, but for terms of its square: a margin of 2 stands for twice the roundings.
    """

    net: Network
    rules: Mapping[str, Assign]
    given: Given
    dtype: str
    margin: float = 1.0
    close: float = 0.0
    advance: Callable[[], None] = lambda: None  # called after every node of the backward pass

    def forward(self, x: Mapping[str, Array]) -> tuple[Values, list[ValueCheck]]:
        """The values of the pass at x in float64, and a check of every value the library gave."""
        exact = {name: 0 * a for name, a in x.items()}
        found, checks = Values(dict(x), dict(exact), dict(x), dict(exact)), list[ValueCheck]()
        for node in self.net.nodes:
            name = node.name
            reads, errors = ([table[read] for read in inputs_of(node)] for table in (found.at, found.e))
            with naming(node):
                y = output(node.layer, *reads)
                e = forward_error(node.layer, reads, errors, self.dtype)
            found.own[name], found.e_own[name] = found.at[name], found.e[name] = y, e
            if name in self.given.values:
                got = self.given.values[name]
                checks.append(check(name, (name,), got, y, self.margin * e, self.dtype, work=np.abs(y), close=self.close))
                if checks[-1].verdict != "deviates":
                    found.at[name], found.e[name] = got.astype(np.float64), 0 * e
        return found, checks

    def backward(self, values: Values, target: Any, seed: Any) -> list[ValueCheck]:
        """A check of every relevance the library gave, from the outputs to the inputs."""
        sent: dict[str, list[Sent]] = {name: [] for name in self.net.names_at("all")}
        checks: list[ValueCheck] = []
        for name, r in start_relevances({name: values.at[name] for name in self.net.outputs}, target, seed).items():
            B = seed_error(values.at[name], values.e[name], _of(target, name, None), _of(seed, name, "logit"), self.dtype)
            B = B + 8 * UNIT_ROUNDOFF[self.dtype] * np.abs(r)  # the library computes its seed at its own precision
            sent[name].append(_fixed((SEED,), r, B))
        for node in reversed(self.net.nodes):
            arrived = self._arrived(node.name, values, sent.pop(node.name), checks)
            for k, (name, message) in enumerate(zip(inputs_of(node), self._handed(node, values, arrived), strict=True)):
                got = self.given.messages.get((node.name, k))
                if got is not None:
                    checks.append(self._checked(name, message, got))
                sent[name].append(message if got is None else _known(got))
            self.advance()
        for name in self.net.inputs:
            self._arrived(name, values, sent[name], checks)
        return checks

    def _handed(self, node: Node, values: Values, arrived: Sent) -> list[Sent]:
        """What the node hands to every input by its rule."""
        reads, errors = (tuple(table[name] for name in inputs_of(node)) for table in (values.at, values.e))
        R, y, e_y = arrived.relevance, values.own[node.name], values.e_own[node.name]

        def by_rule(
            rule: Assign, given: Array, E: Callable[[], Array]
        ) -> list[tuple[Array, Callable[[], tuple[Array, Array]]]]:
            with naming(node), np.errstate(all="ignore"):
                found = rule.propagate(node.layer, reads, given, y).relevance
            errors_of = cache(lambda: relevance_errors(rule, node.layer, reads, errors, given, E(), e_y, self.dtype))
            return [(r, lambda k=k: errors_of()[k]) for k, r in enumerate(found)]  # type: ignore[misc]

        def otherwise(k: int) -> Otherwise:
            def found(alternative: Alternative) -> tuple[Array, Callable[[], Array]]:
                given, E = arrived.otherwise(alternative)
                relevance, bound = by_rule(alternative(node, self.rules[node.name]), given, E)[k]
                return relevance, lambda: bound()[0]

            return found

        by = (node.name, *(name for name in arrived.by if name != node.name))
        lost = arrived.B.max(initial=0) > np.abs(R).max(initial=0)  # nothing is proved from here on: spare the work
        messages = []
        for k, (relevance, bound) in enumerate(by_rule(self.rules[node.name], R, lambda: arrived.B)):
            with naming(node):
                B, work = (LARGEST + 0 * relevance, np.abs(relevance)) if lost else bound()
            messages.append(Sent(by, relevance, B, work, otherwise(k)))
        return messages

    def _arrived(self, name: str, values: Values, parts: Sequence[Sent], checks: list[ValueCheck]) -> Sent:
        """What arrived at a value: all that was handed there, judged, and the library's own where that is known."""
        if not parts:
            return _fixed((), 0 * values.at[name], 0 * values.at[name])
        whole = self._sum(parts)
        got = self.given.relevance.get(name)
        if got is None:
            return whole
        if whole.by or len(parts) > 1:
            checks.append(self._checked(name, whole, got))
        return _known(got)

    def _sum(self, parts: Sequence[Sent]) -> Sent:
        """All that was handed to one value, and the rounding of the sum."""
        if len(parts) == 1:
            return parts[0]
        relevance, B, work = (reduce(add, (getattr(p, what) for p in parts)) for what in ("relevance", "B", "work"))
        rounding = len(parts) * UNIT_ROUNDOFF[self.dtype] * work

        def otherwise(alternative: Alternative) -> tuple[Array, Callable[[], Array]]:
            found = [p.otherwise(alternative) for p in parts]
            return reduce(add, (r for r, _ in found)), lambda: capped(reduce(add, (E() for _, E in found)) + rounding)

        return Sent(tuple(dict.fromkeys(who for p in parts for who in p.by)), relevance, capped(B + rounding), work, otherwise)

    def _checked(self, name: str, sent: Sent, got: Array) -> ValueCheck:
        """The judgement of what was handed to `name`, and what those to blame do instead."""
        by = sent.by or (f"{name} (the sum of what its readers hand on)",)
        found = check(name, by, got, sent.relevance, self.margin * sent.B, self.dtype, work=sent.work, close=self.close)
        if found.verdict != "deviates" or not sent.by:
            return found
        nodes = [self.net[name] for name in sent.by if name != SEED]
        return replace(found, hint=hint(nodes, self.rules, got, sent.otherwise, self.margin))


def _known(got: Array) -> Sent:
    """What the library itself says was handed on."""
    wide = got.astype(np.float64)
    return _fixed((), wide, 0 * wide)


def _fixed(by: tuple[str, ...], relevance: Array, B: Array) -> Sent:
    """What no rule changes."""
    return Sent(by, relevance, B, np.abs(relevance), lambda alternative: (relevance, lambda: B))


def _of(asked: Any, name: str, default: Any) -> Any:
    """What is asked of the output `name`."""
    return asked.get(name, default) if isinstance(asked, Mapping) else asked
