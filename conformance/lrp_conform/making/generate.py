"""From recipes to golden files, all or a part: answers, gauges, certificates, byte for byte the same every time."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from flint import arb

import lrp_ref as lrp
from lrp_conform.cases import golden, model, schema
from lrp_conform.cases.golden import uid_of
from lrp_conform.cases.numbers import ball_array, exact_array, parse, rational, tensor, write
from lrp_conform.cases.question import Answer, answer, pose, propagated
from lrp_conform.judging.deviations import applicable
from lrp_conform.judging.layer import target_of
from lrp_conform.judging.verdict import Target
from lrp_conform.making import golden_tables
from lrp_conform.making import networks as network
from lrp_conform.making.derivations import CertificateError, NoSourceTree, derivations, disagreements
from lrp_conform.making.golden_text import CaseText, case_text, file_text, manifest_text, read_cases
from lrp_conform.making.recipes import found as filed
from lrp_conform.making.recipes import kinds, layers, networks, rules, users_questions, vectors
from lrp_conform.making.recipes.common import PRECISION, Recipe, Search, exact_formats
from lrp_conform.making.recipes.networks import NetworkRecipe
from lrp_ref.dialects import DIALECTS, Dialect
from lrp_ref.files.arrays import write_file
from lrp_ref.rules import CONVENTIONS

EDITION = "2026.11"
DTYPES = ("float16", "float32", "float64")  # coarse to fine
ROOT = Path(__file__).resolve().parents[3]
MANIFEST = "manifest.json"
FEW = 24  # cases that are made sooner than a pool of processes starts
Json = dict[str, Any]
AnyRecipe = Recipe | Search | NetworkRecipe
Progress = Callable[[int, int], None]


class NoRecipe(LookupError):
    """No recipe is of the part that is asked for."""


def recipes() -> dict[str, list[AnyRecipe]]:
    """Every recipe, by group."""
    found: dict[str, list[AnyRecipe]] = {}
    for source in (vectors, rules, layers, users_questions, kinds, filed, networks):
        for group, cases in source.recipes().items():
            found.setdefault(group, []).extend(cases)
    ids = [r.id for cases in found.values() for r in cases]
    if len(ids) != len(set(ids)):
        raise CertificateError(f"ids used twice: {sorted({i for i in ids if ids.count(i) > 1})}")
    return found


def generate(workers: int = 2, progress: Progress = lambda done, total: None) -> dict[str, str]:
    """Every golden file as {path below golden/: text}. Re-executes every certificate; raises CertificateError."""
    groups = recipes()
    built = _built(groups, workers, progress)
    files = {f"{group}.json": file_text(group, [built[r.id] for r in cases]) for group, cases in groups.items()}
    manifest = manifest_text(EDITION, {id_: case.uid for id_, case in built.items()})
    return {**files, MANIFEST: manifest, **documents()}


def generate_part(
    root: Path,
    cases: Sequence[str] = (),
    groups: Sequence[str] = (),
    workers: int = 2,
    progress: Progress = lambda done, total: None,
) -> dict[str, str]:
    """The files below `root` that hold a case whose id and whose group match one of the globs of each kind; and the manifest.

    So do the schema and the README's tables, where a row has changed them. Cases that do not match stay as they are, byte for
    byte, those too that no recipe makes any more. Raises CertificateError, NoRecipe, and GoldenError for files that cannot be
    kept.
    """
    every = recipes()
    chosen = {
        group: [recipe for recipe in found if _matches(recipe.id, cases)]
        for group, found in every.items()
        if _matches(group, groups)
    }
    chosen = {group: found for group, found in chosen.items() if found}
    if not chosen:
        raise NoRecipe(f"no recipe matches {' '.join([*cases, *groups])}")
    if golden.edition(root) != EDITION:
        raise golden.GoldenError(f"{root}: edition {golden.edition(root)}, the recipes are of {EDITION}; generate all of it")
    built, uids, files = _built(chosen, workers, progress), golden.uids(root), {}
    for group in chosen:
        rank = {recipe.id: k for k, recipe in enumerate(every[group])}
        held = {case.id: case for case in read_cases(root / f"{group}.json")}
        held |= {recipe.id: built[recipe.id] for recipe in chosen[group]}
        files[f"{group}.json"] = file_text(group, [held[id_] for id_ in sorted(held, key=lambda id_: rank.get(id_, len(rank)))])
    manifest = manifest_text(EDITION, uids | {id_: case.uid for id_, case in built.items()})
    stale = {name: text for name, text in documents().items() if not _holds(root / name, text)}
    return {**files, MANIFEST: manifest, **stale}


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _matches(name: str, globs: Sequence[str]) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _built(groups: Mapping[str, Sequence[AnyRecipe]], workers: int, progress: Progress) -> dict[str, CaseText]:
    """Every case of these recipes, by id; few of them in this process, many in a pool of them."""
    flat = [recipe for cases in groups.values() for recipe in cases]
    built: dict[str, CaseText] = {}
    with ExitStack() as stack:
        if workers == 1 or len(flat) <= FEW:
            found: Iterator[Json] = map(build, flat)
        else:
            pool = stack.enter_context(ProcessPoolExecutor(workers, get_context("spawn")))
            found = pool.map(_build_named, [recipe.id for recipe in flat], chunksize=8)
        for case in found:
            built[case["id"]] = case_text(case)
            progress(len(built), len(flat))
    return built


@cache
def _by_id() -> dict[str, AnyRecipe]:
    return {recipe.id: recipe for cases in recipes().values() for recipe in cases}


def _build_named(id_: str) -> Json:
    """A case in a worker, which draws the recipe itself: a search is not sent."""
    return build(_by_id()[id_])


def documents() -> dict[str, str]:
    """What is written from the tables of operators and rules alone: the schema, and the README's tables."""
    text = (ROOT / "golden/README.md").read_text(encoding="utf-8")
    return {"schema.json": schema.text(), "README.md": golden_tables.readme(text)}


def write_files(files: dict[str, str], root: Path) -> None:
    """Write these files, each replaced whole."""
    for name, text in files.items():
        write_file(root / name, text, durable=True)


def remove_others(files: dict[str, str], root: Path) -> None:
    """Remove golden JSON files that no recipe makes."""
    for path in root.glob("*/*.json"):
        if path.relative_to(root).as_posix() not in files:
            path.unlink()


def build(recipe: AnyRecipe) -> Json:
    """One case with its answers, certificates re-executed. Raises CertificateError where derivations disagree."""
    if isinstance(recipe, Search):
        return build(recipe.run())
    if isinstance(recipe, NetworkRecipe):
        return network.build(recipe, EDITION)
    if filed.FLAG not in recipe.flags:
        return _build(recipe)
    try:
        return _build(recipe)
    except Exception as error:  # while its bug is there, a filed question may break anything
        raise CertificateError(f"{' '.join(str(error).split())[:300]}; {filed.advice(recipe.id)}") from None


def _build(recipe: Recipe) -> Json:
    if recipe.rule["rule"] == "pattern":
        return _pattern(recipe)
    irrational = "irrational" in recipe.flags
    found = answer(recipe.question)
    certificates = _ball_certificates(recipe, found) if irrational else _certificates(recipe, found)
    radius, relevance, y = _values(recipe, found, irrational)
    formats = [] if irrational else exact_formats(recipe.question)
    if recipe.exact and "float32" not in formats:
        raise CertificateError(f"{recipe.id}: promised exact data, but float32 rounds")
    usable = representable(recipe, found)
    case: Json = {
        "id": recipe.id,
        "uid": "",
        "status": recipe.status,
        "flags": list(recipe.flags),
        "comment": recipe.comment,
        "references": list(recipe.references),
        "features": model.features([recipe.node], {recipe.node["name"]: recipe.rule}, recipe.inputs),
        "model": {"nodes": [recipe.node]},
        "rules": {recipe.node["name"]: recipe.rule},
        "inputs": recipe.inputs,
        "expected": {"y": y, "relevance": relevance},
        "ledger": {} if irrational else {k: tensor(getattr(found.ledger, k)) for k in ("bias", "stabilizer", "dropped")},
        "gauges": _gauges(recipe, found),
        "conservation": _conservation(found),
        "representable_in": usable,
        "exact_in": [f for f in formats if f in usable or f == "bfloat16"],
        "dialects": {} if irrational else _dialects(recipe, found),
        "discriminates": _discriminates(recipe, found, [d for d in DTYPES if d in usable]),
        "certificates": certificates,
        "provenance": {"recipe": "conformance.recipes", "edition": EDITION},
    }
    if irrational:
        case["radius"] = write(radius)
    return _with_uid(case)


def _with_uid(case: Json) -> Json:
    return {**case, "uid": uid_of(case)}


# Certificates -------------------------------------------------------------------------------------------------------


def _certificates(recipe: Recipe, found: Answer) -> list[str]:
    """Exact agreement of four derivations: structured, explicit, the second oracle, and paper where there is one."""
    found.ledger.check()
    try:
        _, wrong = disagreements(recipe.question)
    except NoSourceTree as error:
        raise CertificateError(str(error)) from None
    if wrong is not None:
        raise CertificateError(f"{recipe.id}: {wrong}")
    if len(derivations(recipe.question)) < 3:
        raise CertificateError(f"{recipe.id}: only {', '.join(derivations(recipe.question))} can answer it")
    passed = ["exact-rational", "explicit-equals-structured", "second-oracle", "ledger-balances"]
    for name, values in recipe.hand.items():
        ours = found.relevance[recipe.node["inputs"].index(name)].reshape(-1)
        if [rational(v) for v in ours] != [Fraction(v) for v in values]:
            raise CertificateError(f"{recipe.id}: derived {values} by hand, computed {[str(v) for v in ours]}")
        passed.append("derived-by-hand")
    return passed


def _ball_certificates(recipe: Recipe, found: Answer) -> list[str]:
    again, _ = propagated(recipe.question, ball_array, "explicit")
    y = pose(recipe.question, ball_array, "explicit").affine.y
    pairs = zip((*again, found.y), (*found.relevance, y), strict=True)
    if not all(
        p.overlaps(q) and float(p.rad()) < 2.0**-200
        for a, b in pairs
        for p, q in zip(a.reshape(-1), b.reshape(-1), strict=True)
    ):
        raise CertificateError(f"{recipe.id}: the balls of two evaluations do not meet")
    return ["ball-arithmetic-256-bit", "explicit-equals-structured"]


def _values(recipe: Recipe, found: Answer, irrational: bool) -> tuple[float, Json, Json]:
    if not irrational:
        return 0.0, {n: tensor(r) for n, r in zip(recipe.node["inputs"], found.relevance, strict=True)}, tensor(found.y)
    radius = 0.0

    def nearest(array: np.ndarray) -> Json:
        nonlocal radius
        values = []
        for ball in array.reshape(-1):
            value = float(ball.mid())
            radius = max(radius, float(abs(ball - arb(value)).upper()) * (1 + 2.0**-40))
            values.append(value)
        return tensor(np.asarray(values).reshape(array.shape))

    relevance = {n: nearest(r) for n, r in zip(recipe.node["inputs"], found.relevance, strict=True)}
    return radius, relevance, nearest(found.y)


# Gauges and certificates of range --------------------------------------------------------------------------------------


def _up(value: Any) -> str:
    """A gauge as text: itself if short, else rounded up to eight significant bits, which no verdict notices."""
    if isinstance(value, arb):
        value = Fraction(float(value.upper()))
    v = rational(value)
    text = str(v)
    if len(text) <= 6:
        return text
    shift = max(v.numerator.bit_length() - v.denominator.bit_length() - 8, -2000)
    scale = Fraction(2) ** shift
    return str(math.ceil(v / scale) * scale) if 0 <= shift < 8 else float(math.ceil(v / scale) * scale).hex()


def _gauge_tensor(array: np.ndarray) -> Json:
    return {"shape": list(array.shape), "data": [_up(v) for v in array.reshape(-1)]}


def _power(array: np.ndarray) -> Json:
    """The underflow gauge, rounded up to powers of two."""
    values = [max(0, math.frexp(float(v.upper()) if isinstance(v, arb) else float(rational(v)))[1]) for v in array.reshape(-1)]
    return {"shape": list(array.shape), "data": [str(2**e) for e in values]}


def _gauges(recipe: Recipe, found: Answer) -> Json:
    g, names = found.gauges, recipe.node["inputs"]
    return {
        "G": {n: _gauge_tensor(a) for n, a in zip(names, g.G, strict=True)},
        "H": {n: _gauge_tensor(a) for n, a in zip(names, g.H, strict=True)},
        "S": {n: _power(a) for n, a in zip(names, g.S, strict=True)},
        "Y": _gauge_tensor(g.Y),
        "fan_in": g.fan_in,
        "fan_out": g.fan_out,
        "kappa": _up(g.kappa),
    }


def _conservation(found: Answer) -> Json:
    totals = sum(r.reshape(r.shape[0], -1).sum(axis=-1) for r in found.relevance)
    balls = isinstance(totals.flat[0], arb)
    total = tensor(np.asarray([float(v.mid()) for v in totals]) if balls else totals)
    return {"total": total, "G": _gauge_tensor(found.gauges.total_G), "H": _gauge_tensor(found.gauges.total_H)}


def _significand(value: Fraction) -> int:
    """The bits that a dyadic number needs; a huge number for one that no binary format holds."""
    if value == 0:
        return 0
    if value.denominator & (value.denominator - 1):
        return 10**6
    return abs(value.numerator).bit_length() - ((value.numerator & -value.numerator).bit_length() - 1)


_LARGEST = {"float64": 2.0**1023, "float32": 2.0**127, "float16": 2.0**15}
_NORMAL = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14}


def representable(recipe: Recipe, found: Answer) -> list[str]:
    """The formats that hold every number of the case, with room for every intermediate: its range certificate."""
    tensors = [t for n, t in recipe.inputs.items() if not (model.index_input(recipe.node) and n != "relevance")]
    tensors += list(recipe.node["params"].values()) + [v for v in recipe.rule.values() if isinstance(v, dict) and "data" in v]
    given = [parse(v) for t in tensors for v in t["data"]]
    given += [w for v in model.numeric(recipe.node).values() for w in (v if isinstance(v, tuple) else (v,))]
    rule, stabilizer, _ = model.rule(recipe.rule)
    for f in fields(rule):
        v = getattr(rule, f.name)
        given += [Fraction(w) for w in (v if isinstance(v, tuple) else (v,)) if isinstance(w, int | Fraction)]
    g = found.gauges
    reach = max(
        float(a.upper()) if isinstance(a, arb) else float(rational(a))
        for arrays in (g.G, g.S, (g.Y,))
        for b in arrays
        for a in b.reshape(-1)
    )
    epsilon = float(Fraction(stabilizer.epsilon))
    out = []
    for name in ("float64", "float32", "float16"):
        fits = all(_significand(v) <= PRECISION[name] for v in given) and reach < _LARGEST[name] / 4
        if fits and (epsilon == 0 or epsilon >= _NORMAL[name]):
            out.append(name)
    return out


# What other conventions give ----------------------------------------------------------------------------------------


def _dialects(recipe: Recipe, found: Answer) -> Json:
    """Per library, its answer where a convention of its own makes a visible difference."""
    out: Json = {}
    layer, x, relevance = recipe.question.arrays(exact_array)
    rule, stabilizer, _ = model.rule(recipe.rule)
    plain = replace(rule, **{f.name: None for f in fields(rule) if f.name in CONVENTIONS and f.name != "parameterization"})
    size = max(abs(float(rational(v))) for r in found.relevance for v in r.reshape(-1))
    for dialect in DIALECTS.values():
        if not _touches(dialect, rule, layer):
            continue
        given = (
            None
            if recipe.rule["stabilizer"]["kind"] in ("none", "signed_add")
            and rule.name != "epsilon"
            and stabilizer.kind == "none"
            else stabilizer
        )
        try:
            result = lrp.propagate(layer, x, relevance, plain, stabilizer=given, dialect=dialect).relevance
        except lrp.LRPError:
            continue
        arrays = result if isinstance(result, tuple) else (result,)
        if any(a.shape != r.shape for a, r in zip(arrays, found.relevance, strict=True)):
            continue
        off = max(
            abs(float(rational(p) - rational(q)))
            for a, r in zip(arrays, found.relevance, strict=True)
            for p, q in zip(a.reshape(-1), r.reshape(-1), strict=True)
        )
        if off > 1e-3 * size:
            out[dialect.name] = {n: _short(a) for n, a in zip(recipe.node["inputs"], arrays, strict=True)}
    return out


def _touches(dialect: Dialect, rule: Any, layer: Any) -> bool:
    named_here = (
        rule.name in dialect.biases
        or rule.name in dialect.rules
        or type(layer).__name__ in (*dialect.layers, *dialect.layer_rules)
    )
    return named_here or (rule.name in ("zero", "epsilon") and dialect.name == "lxt-2.1")


def _short(array: np.ndarray) -> Json:
    """Exact where short, else the nearest double."""
    values = [rational(v) for v in array.reshape(-1)]
    return {"shape": list(array.shape), "data": [str(v) if len(str(v)) <= 12 else float(v).hex() for v in values]}


def _discriminates(recipe: Recipe, found: Answer, dtypes: list[str]) -> Json:
    """Per format, coarse to fine, the deviations that it is the first to tell from the truth."""
    told: dict[str, list[str]] = {d: [] for d in dtypes}
    if not dtypes or "irrational" in recipe.flags:
        return told
    targets = {d: target_of(found, d, exact_data=False) for d in dtypes}
    for deviation, question in applicable(recipe.question):
        if not deviation.stored:
            continue
        try:
            other = answer(question)
        except (lrp.LRPError, ZeroDivisionError, ValueError):
            continue
        for dtype in dtypes:
            if _apart(targets[dtype], target_of(other, dtype, exact_data=False)):
                told[dtype].append(deviation.name)
                break
    return told


def _apart(a: Target, b: Target) -> bool:
    for p, q, bp, bq in zip(a.expected, b.expected, a.bound, b.bound, strict=True):
        if p.shape != q.shape or bool((np.abs(p - q) > bp + bq).any()):
            return True
    return False


def _pattern(recipe: Recipe) -> Json:
    """A case of pattern statistics: the answer is the pattern matrix."""
    from lrp_conform.making.patterns import pattern_case

    return _with_uid(pattern_case(recipe, EDITION))
