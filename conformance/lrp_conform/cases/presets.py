"""The composites that network cases are about: those of named libraries, and plain ones of the reference."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import lrp_ref as lrp
from lrp_ref.composites import Assign, Composite, innvestigate, relevance_propagation_jl, zennit
from lrp_ref.dialects import signed
from lrp_ref.layers.kinds import AVERAGE, MOVING, WEIGHTED
from lrp_ref.stabilizers import NONE

Options = dict[str, str | int]
LOW, HIGH = -3, 3  # of every input of a network case
LIBRARIES = {"zennit": zennit, "innvestigate": innvestigate, "relevance-propagation-jl": relevance_propagation_jl}


@dataclass(frozen=True)
class LibraryComposite:
    """A composite by the name and the options that its library has for it."""

    library: str
    name: str
    options: Options = field(default_factory=dict)

    def composite(self) -> Composite:
        """The composite of the reference."""
        given = {name: v if isinstance(v, int) else Fraction(v) for name, v in self.options.items()}
        made: Composite = (PLAIN if self.library == "reference" else vars(LIBRARIES[self.library]))[self.name](**given)
        return made

    def record(self) -> dict[str, Any]:
        return {"library": self.library, "name": self.name, "options": self.options}


def _plain(rule: Any, others: Any, stabilizer: Any) -> Composite:
    """`rule` where there are weights, `others` where values are added up; the rest hands relevance on."""
    entries = [
        Assign(rule, WEIGHTED, stabilizer=stabilizer),
        Assign(others, (lrp.Add, lrp.BatchNorm, *AVERAGE), stabilizer=stabilizer),
        Assign(lrp.Pass(), (lrp.Activation, lrp.MaxPool, *MOVING), stabilizer=NONE),
    ]
    return Composite(entries, "reference")


PLAIN: dict[str, Callable[..., Composite]] = {
    "epsilon": lambda epsilon: _plain(lrp.Epsilon(epsilon), lrp.Epsilon(epsilon), signed(epsilon)),
    "zero": lambda: _plain(lrp.Zero(), lrp.Zero(), NONE),
    "alpha2_beta1": lambda epsilon: _plain(lrp.AlphaBeta(2, 1), lrp.Zero(), signed(epsilon)),
}
_BOX: Options = {"low": LOW, "high": HIGH}
_TWO: Options = {"epsilon": "1/4", "stabilizer": "1/8"}
_MAPPED = ("epsilon_plus", "epsilon_alpha2_beta1", "epsilon_plus_flat", "epsilon_alpha2_beta1_flat")
PRESETS = (
    LibraryComposite("reference", "epsilon", {"epsilon": "1/4"}),
    LibraryComposite("reference", "zero"),
    LibraryComposite("reference", "alpha2_beta1", {"epsilon": "1/64"}),
    *(LibraryComposite("zennit", name, _TWO) for name in _MAPPED),
    LibraryComposite("zennit", "epsilon_gamma_box", {**_BOX, **_TWO, "gamma": "1/4"}),
    LibraryComposite("zennit", "excitation_backprop", {"stabilizer": "1/8"}),
    LibraryComposite("innvestigate", "z"),
    LibraryComposite("innvestigate", "epsilon", {"epsilon": "1/4"}),
    LibraryComposite("innvestigate", "w_square"),
    LibraryComposite("innvestigate", "flat"),
    LibraryComposite("innvestigate", "alpha_beta", {"alpha": 3, "beta": 2}),
    *(
        LibraryComposite("innvestigate", f"{halves}{bias}")
        for halves in ("alpha2_beta1", "alpha1_beta0")
        for bias in ("", "_ignore_bias")
    ),
    LibraryComposite("innvestigate", "z_plus"),
    LibraryComposite("innvestigate", "z_plus_fast"),
    *(LibraryComposite("innvestigate", f"sequential_preset_{a}", {"epsilon": "1/4"}) for a in ("a", "b", "a_flat", "b_flat")),
    LibraryComposite("innvestigate", "sequential_preset_b_flat_until_idx", {"idx": 1, "epsilon": "1/4"}),
    LibraryComposite("innvestigate", "deep_taylor"),
    LibraryComposite("innvestigate", "bounded_deep_taylor", _BOX),
    *(LibraryComposite("relevance-propagation-jl", name, {"epsilon": "1/4"}) for name in _MAPPED),
    LibraryComposite("relevance-propagation-jl", "epsilon_gamma_box", {**_BOX, "epsilon": "1/4", "gamma": "1/4"}),
)
