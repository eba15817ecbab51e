"""What named libraries mean by a rule's name: conventions as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from lrp_ref.arrays import LRPError
from lrp_ref.biases import MODES
from lrp_ref.rules import CONVENTIONS, RULES, Zero
from lrp_ref.stabilizers import Stabilizer
from lrp_ref.text.nearest import nearest
from lrp_ref.values import Table, changed, fields_of


@dataclass(frozen=True)
class Dialect:
    """A library's conventions. Every table maps a name to what the library does where the caller says nothing.

    stabilizers, biases: by rule name, "*" for every other rule. For Epsilon only the kind is taken, the epsilon is the rule's.
    rules: by rule name, conventions of that rule; the key "rule" puts another rule in its place.
    layers: by layer class name, conventions of that layer where it says nothing.
    layer_rules: by layer class name, the one rule that layer has there, whatever is asked.
    unasked: by layer class name, the rule and stabiliser of a layer that takes none within a network; for its readers, not
    applied here.
    """

    name: str
    library: str
    version: str
    stabilizers: Mapping[str, Stabilizer]
    biases: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    layer_rules: Mapping[str, str] = field(default_factory=dict)
    unasked: Mapping[str, tuple[Any, Stabilizer]] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        for table in ("stabilizers", "biases", "rules", "layers", "layer_rules", "unasked"):
            if not isinstance(getattr(self, table), Mapping):
                raise LRPError(f"dialect {self.name}: {table}: expected a table by name, got {getattr(self, table)!r}")
        for name in {*self.stabilizers, *self.biases} - {"*"} | {*self.rules}:
            self._known_rule(name)
        for name in self.layer_rules.values():
            self._known_rule(name)
        for name, stabilizer in self.stabilizers.items():
            if not isinstance(stabilizer, Stabilizer):
                raise LRPError(
                    f"dialect {self.name}: stabilizers: expected {name!r} with a lrp_ref.Stabilizer, got {stabilizer!r}"
                )
        for name, mode in self.biases.items():
            modes = MODES if name == "*" else RULES[name].bias
            if mode not in modes:
                raise LRPError(f"dialect {self.name}: biases: {name} is one of {', '.join(modes)}; got {mode!r}")
        for name, said in self.rules.items():
            self._check_conventions(name, said)

    def _check_conventions(self, name: str, said: Any) -> None:
        """Refuse what is no convention of the rule, or of the one that takes its place, and values that do not exist."""
        if not isinstance(said, Mapping):
            raise LRPError(f"dialect {self.name}: rules: expected {name!r} with its conventions by name, got {said!r}")
        rule = self._known_rule(said.get("rule", name))
        held = {f.name for f in fields(rule)} if is_dataclass(rule) else vars(rule)
        takes = [one for one in CONVENTIONS if one in held]
        for convention, value in said.items():
            if convention == "rule":
                continue
            if convention not in takes:
                known = f"; known are {', '.join(takes)}" if takes else ""
                raise LRPError(f"dialect {self.name}: rules: {rule.name} has no convention {convention!r}{known}")
            if value not in CONVENTIONS[convention][0]:
                values = ", ".join(CONVENTIONS[convention][0])
                raise LRPError(f"dialect {self.name}: rules: {rule.name}: {convention} is one of {values}; got {value!r}")

    def _known_rule(self, name: Any) -> Any:
        """The rule of that name."""
        if name not in RULES:
            hint = nearest(str(name), RULES)
            raise LRPError(
                f"dialect {self.name}: no rule {name!r}; {hint and f'{hint} '}known are {', '.join(RULES)}; "
                "put one of your own into lrp_ref.RULES first"
            )
        return RULES[name]

    def apply(
        self, layer: Any, rule: Any, stabilizer: Stabilizer | None, bias: str | None
    ) -> tuple[Any, Any, Stabilizer | None, str | None]:
        """Layer, rule, stabiliser and bias mode with this dialect's conventions wherever none was given."""
        known = RULES.get(rule.name)
        if known is not None and not isinstance(rule, known):
            kind = type(rule).__name__
            raise LRPError(
                f"{kind}: its name {rule.name!r} is that of lrp_ref.{known.__name__}, whose conventions in {self.name} "
                "it would get; give it a name of its own"
            )
        fixed = self.layer_rules.get(type(layer).__name__)
        if fixed is not None:
            rule = RULES[fixed]()
        if bias is None:
            bias = self.biases.get(rule.name, self.biases.get("*"))
        if stabilizer is None:
            stabilizer = self.stabilizers.get(rule.name, self.stabilizers.get("*"))
            if rule.name == "epsilon" and stabilizer is not None:
                stabilizer = replace(stabilizer, epsilon=rule.epsilon)
        overrides = dict(self.rules.get(rule.name, {}))
        if "rule" in overrides:
            other = RULES[overrides.pop("rule")]
            given = {f.name: getattr(rule, f.name) for f in fields(rule) if getattr(rule, f.name) is not None}
            if given.keys() <= {f.name for f in fields(other)}:  # else a convention of this very rule was asked for
                rule = other(**given)
        missing = {name: value for name, value in overrides.items() if getattr(rule, name, value) is None}
        changes = self.layers.get(type(layer).__name__, {})
        unknown = [name for name in changes if not hasattr(layer, name)]
        if unknown:
            kind = type(layer).__name__
            raise LRPError(
                f"dialect {self.name}: layers: {kind} has no {', '.join(map(repr, unknown))}; "
                f"it has {', '.join(fields_of(layer))}"
            )
        unsaid = {name: value for name, value in changes.items() if getattr(layer, name, value) is None}
        return changed(layer, unsaid), changed(rule, missing), stabilizer, bias


def signed(epsilon: float) -> Stabilizer:
    """d + epsilon sgn(d) with sgn(0) = +1."""
    return Stabilizer("signed_add", epsilon)


_ZENNIT: dict[str, Any] = {
    "library": "zennit",
    "stabilizers": {"*": signed(1e-6)},
    "biases": {"z-plus": "absorb", "w-square": "square", "z-box": "absorb"},
    "rules": {"gamma": {"rule": "generalized-gamma"}},
}

DIALECTS = Table(
    {
        dialect.name: dialect
        for dialect in (
            Dialect(
                "innvestigate-2.1",
                "iNNvestigate",
                "2.1",
                stabilizers={"*": Stabilizer("replace_zero", 1e-7), "epsilon": signed(1e-7)},
                biases={"alpha-beta": "full_in_both"},
                rules={"alpha-beta-x": {"alpha1_from": "beta1"}},
                layers={"BatchNorm": {"linearization": "variance_squared"}},
                unasked=dict.fromkeys(("Add", "AvgPool", "GlobalAvgPool"), (Zero(), Stabilizer("replace_zero", 1e-7))),
                note="The full bias enters both halves of alpha-beta (issue 273); fused batch norm squares the variance.",
            ),
            Dialect(
                "zennit-1.0",
                version="1.0",
                note="WSquare adds b^2; ZPlus keeps b+; Gamma is the generalised rule.",
                **_ZENNIT,
            ),
            Dialect("zennit-0.5", version="0.5", note="As 1.0 layer by layer; its batch-norm merge is not exact.", **_ZENNIT),
            Dialect(
                "captum-0.9",
                "captum",
                "0.9",
                stabilizers={"*": signed(1e-9)},
                biases={"alpha-beta": "full_in_both", "gamma": "raw", "z-plus": "full_in_both"},
                rules={"alpha-beta": {"split": "weight"}, "z-plus": {"rule": "z-plus-fast"}},
                unasked={"MaxPool": (Zero(), signed(1e-9))},
                note="Alpha1_Beta0 clamps the weights only and keeps the full bias; Gamma leaves the bias raw.",
            ),
            Dialect(
                "lrp_toolbox",
                "lrp_toolbox",
                "1.3",
                stabilizers={"*": signed(1e-16)},
                layers={"MaxPool": {"ties": "split"}},
                note="alpha + beta = 1: write AlphaBeta(alpha, 1 - alpha, parameterization='sum').",
            ),
            Dialect(
                "relevancepropagation.jl",
                "RelevancePropagation.jl",
                "3",
                stabilizers={
                    "*": Stabilizer("zero_to_eps_then_signed", 1e-9),
                    "epsilon": Stabilizer("zero_to_eps_then_signed", 1e-6),
                },
                biases={"z-plus": "absorb", "z-box": "absorb"},
                layers={"BatchNorm": {"linearization": "without_epsilon"}},
                note="Its batch-norm fusion has no epsilon.",
            ),
            Dialect(
                "innsight",
                "innsight",
                "0.3",
                stabilizers={"*": signed(1e-6)},
                layer_rules={"Add": "flat"},
                note="A sum hands R / n to each of its n inputs; alpha + beta = 1 with alpha = 1/2 by default.",
            ),
            Dialect(
                "lxt-2.1",
                "lxt",
                "2.1",
                stabilizers={"*": Stabilizer("unsigned_add", 1e-6)},
                note="Epsilon is added without the sign of z: a pole at z = -epsilon.",
            ),
        )
    }
)


def named(dialect: Any) -> Any:
    """The dialect that a text names, as "captum-0.9"; anything else as it is. Raises `LRPError` for an unknown name."""
    if not isinstance(dialect, str):
        return dialect
    if dialect not in DIALECTS:
        hint = nearest(dialect, DIALECTS)
        raise LRPError(f"no dialect {dialect!r}; {hint and f'{hint} '}known are {', '.join(DIALECTS)}")
    return DIALECTS[dialect]
