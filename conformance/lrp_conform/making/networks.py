"""From a network recipe to its golden case: answers, bounds, certificates."""

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from lrp_conform.cases import model
from lrp_conform.cases.golden import uid_of
from lrp_conform.cases.network_reference import WrittenNetwork, unbiased
from lrp_conform.cases.numbers import exact_array, parse, tensor, write
from lrp_conform.cases.question import Question
from lrp_conform.making.derivations import CertificateError
from lrp_conform.making.network_certificates import disagreement
from lrp_conform.making.recipes.common import PRECISION, exact_formats
from lrp_conform.making.recipes.networks import NetworkRecipe
from lrp_ref import NetworkBounds

Json = dict[str, Any]
Array = Any
DTYPES = ("float64", "float32")
WIDTH = 120  # characters of what stays on one line
REFERENCES = {
    "reference": ["doi:10.1371/journal.pone.0130140"],
    "zennit": ["arXiv:2106.13200"],
    "innvestigate": ["arXiv:1808.04260"],
    "relevance-propagation-jl": [],
}
CERTIFICATES = ("exact-rational", "explicit-equals-preset", "second-oracle", "ledger-balances", "bounds-speak")


def build(recipe: NetworkRecipe, edition: str) -> Json:
    """One case. Raises CertificateError with the case's id and the node."""
    asked = recipe.asked
    wrong = disagreement(asked) or _preset_differs(recipe)
    if wrong:
        raise CertificateError(f"{recipe.id}: {wrong}")
    bounds = {dtype: asked.explain(bounds=dtype).bounds for dtype in DTYPES}
    for dtype, found in bounds.items():
        if found is None or found.says_nothing:
            where = "" if found is None else f" at {', '.join(found.says_nothing)}"
            raise CertificateError(f"{recipe.id}: the {dtype} bound says nothing{where}; choose other data")
    case = {
        "id": recipe.id,
        "uid": "",
        "status": "core",
        "flags": ["network"],
        "comment": _comment(recipe),
        "references": REFERENCES[recipe.preset.library],
        "features": features(asked),
        "composite": recipe.preset.record(),
        "model": {"nodes": asked.nodes},
        "rules": asked.rules,
        "inputs": asked.inputs,
        "expected": _parts(asked, asked.values, asked.exact.at, tensor),
        "ledger": _ledger(asked),
        "bounds": {dtype: _bounds(asked, found) for dtype, found in bounds.items() if found is not None},
        "representable_in": [dtype for dtype in DTYPES if _fits(asked, dtype)],
        "exact_in": [dtype for dtype in exact_in(asked) if dtype in (*DTYPES, "bfloat16")],
        "certificates": list(CERTIFICATES),
        "provenance": {"recipe": "conformance.recipes.networks", "edition": edition},
    }
    return {**case, "uid": uid_of(case)}


def features(asked: WrittenNetwork) -> list[str]:
    """What every node needs, and whether a value has several readers or a node several inputs."""
    shapes = {name: {"shape": list(array.shape)} for name, array in asked.values.items()}
    return sorted([*model.features(asked.nodes, asked.rules, shapes), f"network.{_shape(asked.nodes)}"])


def _shape(nodes: list[Json]) -> str:
    reads = [name for node in nodes for name in node["inputs"]]
    return "sequence" if len(reads) == len(nodes) == len(set(reads)) else "branches"


def _comment(recipe: NetworkRecipe) -> str:
    story, also = recipe.architecture.story, ", ".join(recipe.also)
    return f"{story} On this network {also} of {recipe.preset.library} give every node the same rule." if also else story


def _parts(asked: WrittenNetwork, values: Mapping[str, Array], at: Mapping[str, Array], write_tensor: Any) -> Json:
    """y, the relevance of every input, and that arriving at every node."""
    return {
        "y": write_tensor(values[asked.output]),
        "relevance": {name: write_tensor(at[name]) for name in asked.names},
        "nodes": {node["name"]: write_tensor(at[node["name"]]) for node in asked.nodes},
    }


def _bounds(asked: WrittenNetwork, found: NetworkBounds) -> Json:
    return _parts(asked, found.forward, found.at, _upwards)


def _upwards(array: Array) -> Json:
    """Bounds rounded up to eight significant bits, which no verdict notices, as hexadecimal floats."""
    return {"shape": list(array.shape), "data": [_up(float(v)) for v in array.reshape(-1)]}


def _up(value: float) -> str:
    if value == 0:
        return "0"
    significand, exponent = math.frexp(value)
    digits, _, power = math.ldexp(math.ceil(significand * 256), exponent - 8).hex().partition("p")
    return f"{digits.rstrip('0').rstrip('.')}p{power}"


def _ledger(asked: WrittenNetwork) -> Json:
    """Sums per sample: of every node, and of the whole network, which balances."""
    ledger = asked.exact.ledger
    columns = ("arrived", "received", "bias", "stabilizer", "dropped")
    rows = {name: {column: tensor(getattr(ledger.nodes[name], column)) for column in columns} for name in asked.rules}
    lost = {column: sum(getattr(row, column) for row in ledger.nodes.values()) for column in columns[2:]}
    total = {"arrived": sum(ledger.seed.values()), "received": sum(ledger.received.values()), **lost}
    return {"nodes": rows, "total": {column: tensor(array) for column, array in total.items()}}


def _fits(asked: WrittenNetwork, dtype: str) -> bool:
    """Whether the format holds every number that is given."""
    tensors = [*asked.inputs.values(), *(t for node in asked.nodes for t in node["params"].values())]
    return all(_significand(parse(v)) <= PRECISION[dtype] for t in tensors for v in t["data"])


def _significand(value: Fraction) -> float:
    """The bits of a dyadic number; infinite for others."""
    if value.denominator & (value.denominator - 1):
        return math.inf
    return abs(value.numerator // (value.numerator & -value.numerator)).bit_length() if value else 0


def exact_in(asked: WrittenNetwork) -> list[str]:
    """The formats in which every intermediate of the usual plans is exact, at every node."""
    formats = list(PRECISION)
    for node in asked.nodes:
        arriving = {name: asked.values[name] for name in node["inputs"]} | {"relevance": asked.exact.at[node["name"]]}
        question = Question(node, asked.rules[node["name"]], {name: tensor(a) for name, a in arriving.items()})
        exact = exact_formats(question) if formats else []
        formats = [name for name in formats if name in exact]
    ends = [Fraction(v) for name in asked.names for v in tensor(asked.exact.at[name])["data"]]
    return [name for name in formats if all(_significand(v) <= PRECISION[name] for v in ends)]


def text(case: Json, indent: int = 0) -> str:
    """The case as JSON: a tensor, a list of words, and whatever is short, on one line; everything else one field a line."""
    return _laid_out(case, indent)


def _laid_out(value: Any, indent: int) -> str:
    flat = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(flat) <= WIDTH or not isinstance(value, dict | list) or _is_row(value):
        return flat
    keys = [f"{json.dumps(key)}: " for key in value] if isinstance(value, dict) else [""] * len(value)
    parts = value.values() if isinstance(value, dict) else value
    rows = [f"{' ' * (indent + 1)}{key}{_laid_out(part, indent + 1)}" for key, part in zip(keys, parts, strict=True)]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n" + ",\n".join(rows) + f"\n{' ' * indent}{last}"


def _is_row(value: Any) -> bool:
    """Whether it is a tensor or a list of words."""
    return value.keys() == {"shape", "data"} if isinstance(value, dict) else isinstance(value[0], str)


def _preset_differs(recipe: NetworkRecipe) -> str | None:
    """Whether the explicit entries, at the doubles that libraries hold, give something else than the preset."""
    asked = recipe.asked
    rules = {name: _as_doubles(entry) for name, entry in asked.rules.items()}
    explicit = WrittenNetwork(asked.nodes, rules, asked.inputs).explain().at
    plain, seed = WrittenNetwork(recipe.architecture.nodes, {}, asked.inputs), exact_array(asked.inputs["relevance"])
    preset = unbiased(plain.network()).explain(plain.x(), recipe.preset.composite(), seed=seed, at="all").at
    off = [name for name, array in explicit.items() if not (array == preset[name]).all()]
    return f"relevance of {off[0]}: the rule entries give something else than the preset" if off else None


def _as_doubles(entry: Json) -> Json:
    """The entry with epsilons as the nearest doubles."""
    stabilizer = {**entry["stabilizer"], "epsilon": _double(entry["stabilizer"]["epsilon"])}
    return {**entry, **({"epsilon": _double(entry["epsilon"])} if "epsilon" in entry else {}), "stabilizer": stabilizer}


def _double(text: str) -> str:
    return write(Fraction(float(parse(text))))
