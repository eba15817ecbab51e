"""Where the relevance went that no input received."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

from lrp_ref.arrays import Array, LRPError, absolute, flattened, is_exact, namespace


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
    bias: Array
    stabilizer: Array
    dropped: Array
    rho: Array
    received: tuple[Array, ...]
    bound: Callable[[], Array]  # computes `tolerance`, which costs more than the relevance itself

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
        off = absolute(self.imbalance())
        for sample in range(off.shape[0]):
            gap, allowed = off[sample], self.tolerance[sample]
            if not gap <= allowed:
                kind = "exact arithmetic" if is_exact(off) else f"allowed {float(allowed):.3g}"
                raise LRPError(f"ledger of sample {sample} does not balance: off by {gap} ({kind})")
