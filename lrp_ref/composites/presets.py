"""The presets by name, as a command line or a file of settings gives them: "zennit.epsilon_plus(epsilon=1e-4)".

Every public function of a library's module that returns a `Composite` is a preset; nothing is listed twice.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lrp_ref.arrays import LRPError
from lrp_ref.composites import captum, innvestigate, patterns, relevance_propagation_jl, zennit
from lrp_ref.network.composite import Composite
from lrp_ref.rules import RULES
from lrp_ref.text.nearest import nearest
from lrp_ref.values import Table

LIBRARIES = (innvestigate, zennit, relevance_propagation_jl, captum)
MERGING = (zennit, relevance_propagation_jl)
RULE_NAMES = {rule.__name__: rule for rule in RULES.values()}


@dataclass(frozen=True)
class Preset:
    """A composite of a library. merged: whether the library merges batch norms before it applies it."""

    name: str
    make: Callable[..., Composite]
    merged: bool

    @property
    def library(self) -> str:
        """The library, as "zennit"."""
        return self.name.split(".")[0]

    @property
    def short(self) -> str:
        """The name within the library, as "epsilon_plus"."""
        return self.name.split(".")[1]

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.make).parameters

    @property
    def required(self) -> tuple[str, ...]:
        """The parameters without a default."""
        return tuple(name for name, p in self.parameters.items() if p.default is p.empty)

    @property
    def about(self) -> str:
        """The first line of its documentation."""
        return (inspect.getdoc(self.make) or "").split("\n")[0]

    def __str__(self) -> str:
        """The name and the parameters with their defaults, as it is written."""
        written = (name if p.default is p.empty else f"{name}={p.default!r}" for name, p in self.parameters.items())
        return f"{self.name}({', '.join(written)})"

    def __call__(self, *args: Any, **kwargs: Any) -> Composite:
        """The composite. Raises `LRPError` where the arguments do not fit."""
        try:
            inspect.signature(self.make).bind(*args, **kwargs)
            return self.make(*args, **kwargs)
        except TypeError as error:
            raise LRPError(f"{self.name}: {error}; it is {self}") from None


class PresetCall(NamedTuple):
    """A preset, and the arguments it was asked for with."""

    preset: Preset
    arguments: list[Any]
    options: dict[str, Any]


def _of(module: Any) -> dict[str, Callable[..., Composite]]:
    """The functions of a module that return a composite, in its order."""
    own = {name: f for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
    return {name: f for name, f in own.items() if not name.startswith("_") and f.__annotations__.get("return") is Composite}


def _short(module: Any) -> str:
    return str(module.__name__).rsplit(".", 1)[-1]


PRESETS = Table(
    {
        f"{_short(module)}.{name}": Preset(f"{_short(module)}.{name}", make, module in MERGING)
        for module in LIBRARIES
        for name, make in _of(module).items()
    }
)
UNNAMED = tuple(f"{_short(patterns)}.{name}" for name in _of(patterns))  # these need patterns, fitted to a network


def named(text: str, *args: Any, **kwargs: Any) -> Composite:
    """The preset that `text` names: "zennit.epsilon_plus", or with arguments "zennit.epsilon_plus(epsilon=1e-4)".

    Arguments in the text are literals, or rules such as Flat() and ZBox(-1, 1); nothing else is evaluated. More arguments
    may follow. Raises `LRPError` for what is no such text, an unknown preset, and arguments that it does not take.
    """
    preset, given, named_given = parsed(text)
    return preset(*given, *args, **{**named_given, **kwargs})


def parsed(text: str) -> PresetCall:
    """The preset that `text` names, and the arguments written there."""
    name, args, kwargs = call(text)
    if name in UNNAMED:
        raise LRPError(f"{name} needs fitted patterns: use lrp_ref.fit_patterns and lrp_ref.composites.{name} from Python")
    if name not in PRESETS:
        raise LRPError(f"no composite {name!r}; {_meant(name)}")
    return PresetCall(PRESETS[name], args, kwargs)


def rule(text: str) -> Any:
    """The rule that `text` names, as "Epsilon(1e-3)", "Pass" or "alpha-beta". Raises `LRPError` for anything else."""
    word, bracket, rest = str(text).strip().partition("(")
    known = RULES[word].__name__ if word in RULES else word
    name, args, kwargs = call(known + bracket + rest, "Epsilon(1e-3) or Pass")
    return _rule(name, args, kwargs)


def call(
    text: str, example: str = "zennit.epsilon_plus or zennit.epsilon_gamma_box(low=-3, high=3)"
) -> tuple[str, list[Any], dict[str, Any]]:
    """A dotted name, and the arguments of its call if there is one."""
    try:
        tree = ast.parse(str(text).strip(), mode="eval").body
        if not isinstance(tree, ast.Call):
            return _dotted(tree), [], {}
        if any(k.arg is None for k in tree.keywords):
            raise ValueError
        return _dotted(tree.func), [_value(a) for a in tree.args], {str(k.arg): _value(k.value) for k in tree.keywords}
    except LRPError:
        raise
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise LRPError(f"expected a name, or a name with literal arguments, such as {example}; got {text!r}") from None


def _dotted(tree: ast.expr) -> str:
    if isinstance(tree, ast.Attribute):
        return f"{_dotted(tree.value)}.{tree.attr}"
    if not isinstance(tree, ast.Name):
        raise ValueError
    return tree.id


def _value(tree: ast.expr) -> Any:
    """A literal, or a rule."""
    if isinstance(tree, ast.Call):
        return _rule(_dotted(tree.func), [_value(a) for a in tree.args], {str(k.arg): _value(k.value) for k in tree.keywords})
    return ast.literal_eval(tree)


def _rule(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if name not in RULE_NAMES:
        hint = nearest(name, RULE_NAMES)
        raise LRPError(f"no rule {name!r}; {hint and f'{hint} '}known are {', '.join(RULE_NAMES)}")
    try:
        return RULE_NAMES[name](*args, **kwargs)
    except TypeError:
        takes = ", ".join(inspect.signature(RULE_NAMES[name]).parameters)
        raise LRPError(f"{name}({takes}) does not take these arguments") from None


def _meant(name: str) -> str:
    library = name.split(".")[0]
    own = [known.split(".")[1] for known in PRESETS if known.split(".")[0] == library]
    close = nearest(name, PRESETS)
    what = f"{library} has {', '.join(own)}" if own else f"known are those of {', '.join(_short(m) for m in LIBRARIES)}"
    return f"{close} {what}" if close else what
