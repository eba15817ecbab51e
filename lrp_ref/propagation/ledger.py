"""Where the relevance went that no input received: of one propagation, and of a whole network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from operator import add
from typing import Any

from lrp_ref.arrays import Array, LRPError, absolute, flattened, is_exact, namespace
from lrp_ref.text.printing import described, shapes, summary, totals


@dataclass(frozen=True)
class Known:
    """A function that returns what was computed already: what a lazy column becomes in another process."""

    value: Any

    def __call__(self) -> Any:
        return self.value


@dataclass(frozen=True, eq=False)
class Ledger:
    """The account of one propagation; every array has the shape of the layer's output, batch axes as one.

    arrived: R_j. bias: what b_j absorbed. stabilizer: what the change from d to D absorbed. dropped: what no rule
    could hand on (a zero denominator, a masked output, an empty half; negative where relevance was created).
    rho: the conservation ratio, sum_i n_ji / D_j over all parts, so that output j hands rho_j R_j to its inputs.
    received: the relevance at the inputs, one array each. The audit identity holds for every rule and dialect:

        sum R_in + sum bias + sum stabilizer + sum dropped = sum R_out
    """

    arrived: Array
    received: tuple[Array, ...]
    columns: Callable[[], Mapping[str, Array]]  # computes bias, stabilizer, dropped and rho when one of them is first read
    bound: Callable[[], Array]  # computes `tolerance`, which costs more than the relevance itself

    @cached_property
    def _computed(self) -> Mapping[str, Array]:
        return self.columns()

    @property
    def bias(self) -> Array:
        return self._computed["bias"]

    @property
    def stabilizer(self) -> Array:
        return self._computed["stabilizer"]

    @property
    def dropped(self) -> Array:
        return self._computed["dropped"]

    @property
    def rho(self) -> Array:
        return self._computed["rho"]

    @cached_property
    def tolerance(self) -> Array:
        """Per sample, how far rounding may leave the two sides of the identity apart; 0 where arithmetic is exact."""
        return self.bound()

    def totals(self) -> dict[str, object]:
        """The sum of every column: arrived, received, bias, stabilizer, dropped."""
        xp = namespace(self.arrived)
        received = reduce(add, (xp.sum(r) for r in self.received))
        columns = {name: xp.sum(getattr(self, name)) for name in ("arrived", "bias", "stabilizer", "dropped")}
        return {"arrived": columns.pop("arrived"), "received": received, **columns}

    def imbalance(self) -> Array:
        """Per sample: arrived minus received, bias, stabilizer and dropped; 0 where arithmetic is exact."""
        xp = namespace(self.arrived)
        spent = self.bias + self.stabilizer + self.dropped
        per_sample = xp.sum(flattened(self.arrived - spent), axis=-1)
        return per_sample - reduce(add, (xp.sum(flattened(r), axis=-1) for r in self.received))

    def check(self) -> None:
        """Raise `LRPError` unless the identity holds: exactly in rationals, within its bound in floats."""
        _check(self.imbalance(), lambda: self.tolerance)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled or copied: everything that is still lazy, computed now."""
        kept = {"arrived": self.arrived, "received": self.received}
        return {**kept, "columns": Known(dict(self._computed)), "bound": Known(self.tolerance)}

    def __repr__(self) -> str:
        return f"Ledger(arrived {described(self.arrived)}, received {shapes(self.received)})"

    def __str__(self) -> str:
        """The total of every column, in one line."""
        return totals(self.totals())


@dataclass(frozen=True, eq=False)
class NodeAccount:
    """The ledger of one node in sums per sample, each (N,): arrived = received + bias + stabilizer + dropped."""

    arrived: Array
    received: Array
    bias: Array
    stabilizer: Array
    dropped: Array

    def __repr__(self) -> str:
        return summary(self)


@dataclass(frozen=True, eq=False)
class NetworkLedger:
    """The account of a whole network in sums per sample, each (N,).

    seed: at every output, what relevance started from. received: at every input, what it came to. nodes: the account of
    every node. The audit identity:

        sum received + sum over nodes (bias + stabilizer + dropped) = sum seed
    """

    seed: Mapping[str, Array]
    received: Mapping[str, Array]
    accounts: Callable[[], Mapping[str, NodeAccount]]  # computes `nodes`, which costs as much as the relevance itself
    bound: Callable[[], Array]  # computes `tolerance`, which costs more

    @cached_property
    def nodes(self) -> Mapping[str, NodeAccount]:
        """The account of every node, from the output to the input."""
        return self.accounts()

    @cached_property
    def tolerance(self) -> Array:
        """Per sample, how far rounding may leave the two sides of the identity apart; 0 where arithmetic is exact."""
        return self.bound()

    def totals(self) -> dict[str, object]:
        """The sum of every column: arrived (the seed), received (at the inputs), bias, stabilizer, dropped."""
        lost = {name: [getattr(row, name) for row in self.nodes.values()] for name in ("bias", "stabilizer", "dropped")}
        columns = {"arrived": [*self.seed.values()], "received": [*self.received.values()], **lost}
        return {name: namespace(parts[0]).sum(reduce(add, parts)) for name, parts in columns.items()}

    def imbalance(self) -> Array:
        """Per sample: seed minus received, bias, stabilizer and dropped; 0 where arithmetic is exact."""
        lost = [row.bias + row.stabilizer + row.dropped for row in self.nodes.values()]
        return reduce(add, self.seed.values()) - reduce(add, self.received.values()) - reduce(add, lost)

    def check(self) -> None:
        """Raise `LRPError` unless the identity holds: exactly in rationals, within its bound in floats."""
        _check(self.imbalance(), lambda: self.tolerance)

    def rows(self) -> dict[str, dict[str, object]]:
        """Node -> its columns arrived, received, bias, stabilizer, dropped, summed over samples; from output to input."""
        names = [field.name for field in fields(NodeAccount)]
        return {
            node: {name: namespace(row.arrived).sum(getattr(row, name)) for name in names} for node, row in self.nodes.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled or copied: everything that is still lazy, computed now."""
        bound = Known(self.tolerance)  # first: on its way it makes the accounts
        kept = {"seed": dict(self.seed), "received": dict(self.received)}
        return {**kept, "accounts": Known(dict(self.nodes)), "bound": bound}

    def __repr__(self) -> str:
        columns = {"seed": self.seed, "received": self.received}
        named = ", ".join(f"{what} {name} {described(a)}" for what, arrays in columns.items() for name, a in arrays.items())
        return f"NetworkLedger({named})"

    def __str__(self) -> str:
        """A table: a row per node, from the output to the input, summed over samples; conserved is received / arrived."""
        rows = {**self.rows(), "total": self.totals()}
        width = max(map(len, rows))
        lines = [f"{'node':{width}}" + "".join(f"{name:>14}" for name in (*rows["total"], "conserved"))]
        for node, row in rows.items():
            values = [float(value) for value in row.values()]  # type: ignore[arg-type]
            conserved = f"{values[1] / values[0]:14.6g}" if values[0] else f"{'-':>14}"
            lines.append(f"{node:{width}}" + "".join(f"{value:14.6g}" for value in values) + conserved)
        return "\n".join(lines)


def _check(imbalance: Array, tolerance: Callable[[], Array]) -> None:
    off = absolute(imbalance)
    exact = is_exact(off)
    bound = 0 * off if exact else tolerance()
    for sample in range(off.shape[0]):
        gap, allowed = off[sample], bound[sample]
        if not gap <= allowed:
            kind = "exact arithmetic" if exact else f"allowed {float(allowed):.3g}"
            raise LRPError(f"ledger of sample {sample} does not balance: off by {gap} ({kind})")
