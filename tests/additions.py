"""Rows as CONTRIBUTING has them, put into a copy of the tree: two rules, a layer, and rows that say too little."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PARTS = ("lrp_ref", "conformance", "tests", "golden", "docs", "pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")


class Row(NamedTuple):
    """Text that is put into a file, before what stands there once."""

    path: str
    before: str
    text: str


def copied(to: Path, parts: Iterable[str] = PARTS) -> Path:
    """The tree without what is made from it."""
    for part in parts:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("__pycache__", ".*", "scoreboard"))
        else:
            shutil.copy2(ROOT / part, to / part)
    return to


def add(root: Path, rows: Iterable[Row]) -> None:
    for path, before, text in rows:
        whole = (root / path).read_text(encoding="utf-8")
        assert whole.count(before) == 1, f"{path}: {before!r} stands there {whole.count(before)} times"
        (root / path).write_text(whole.replace(before, text + before), encoding="utf-8", newline="\n")


RULES, RECIPES = "lrp_ref/rules.py", "conformance/lrp_conform/making/recipes"
Z_MINUS = '''@dataclass(frozen=True)
class ZMinus:
    """z- rule: n = (w_ji x_i)-, bias ignored."""

    formula: ClassVar[tuple[str, ...]] = ("z_ji^-; b_j^-",)
    name: ClassVar[str] = "z-minus"
    bias: ClassVar[tuple[str, ...]] = ("ignore", "absorb", "share")
    reads_output: ClassVar[bool] = False

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(neg(W * x), neg(b))]


'''
BY_SIGN = '''@dataclass(frozen=True)
class BySign:
    """By the sign of the output: n = (w x)+, c = b+ where z_j > 0; n = (w x)-, c = b- where z_j < 0."""

    formula: ClassVar[tuple[str, ...]] = ("z_ji^+; b_j^+; 1; z_j > 0", "z_ji^-; b_j^-; 1; z_j < 0")
    name: ClassVar[str] = "by-sign"
    bias: ClassVar[tuple[str, ...]] = ("absorb", "ignore")
    reads_output: ClassVar[bool] = True

    def parts(self, W: Any, x: Any, b: Array, y: Array) -> list[Part]:
        return [Part(pos(W * x), pos(b), where=y > 0), Part(neg(W * x), neg(b), where=y < 0)]


'''


def rule(kind: str, text: str) -> tuple[Row, ...]:
    """A rule's class, its row in `RULES`, and its public name."""
    return (
        Row(RULES, "@dataclass(frozen=True)\nclass ZPlusFast:", text),
        Row(RULES, "AbsZ, Norm, Pass,", f"{kind}, "),
        Row(RULES, '"ZPlus", ', f'"{kind}", '),
    )


ORACLE = """    if name == "z-minus":
        return [Part(lambda t: neg(t.w * t.x), neg)]
    if name == "by-sign":
        return [
            Part(lambda t: pos(t.w * t.x), pos, serves=lambda out: out.y > 0),
            Part(lambda t: neg(t.w * t.x), neg, serves=lambda out: out.y < 0),
        ]
"""
ENTRIES = """    "z-minus": Cycle([spec("z-minus"), spec("z-minus", stabilizer=signed(1))], [spec("z-minus")]),
    "by-sign": Cycle([spec("by-sign"), spec("by-sign", stabilizer=signed(1))], [spec("by-sign")]),
"""
RULE = (
    *rule("ZMinus", Z_MINUS),
    *rule("BySign", BY_SIGN),
    Row(f"{RECIPES}/rules.py", '    "z-plus-fast": Cycle(', ENTRIES),
    Row("tests/oracle/rules.py", '    if name == "z-plus-fast":', ORACLE),
)

GATE = '''@dataclass(frozen=True)
class Gate:
    """y = x^2 x, the factor x^2 held constant."""

    axes = None

    def affine(self, x: Array) -> Affine:
        return linear([Routed(x * x, same, same)], [x], roundings=1)


'''
DRIFT = '''    def drift(self, affine: Affine, x: Errors, e: Errors, dtype: str) -> Drift:
        """|(x + e)^2 - x^2| <= e (2 |x| + e), |(x + e)^3 - x^3| <= 3 e (|x| + e)^2, and the rounding of two products."""
        from lrp_ref.algebra.rounding import SMALLEST, UNIT_ROUNDOFF

        u, least, far = UNIT_ROUNDOFF[dtype], SMALLEST[dtype], absolute(x[0]) + e[0]
        weight = e[0] * (absolute(x[0]) + far) + 4 * u * far * far + least
        return Drift(3 * e[0] * far * far + 8 * u * far**3 + least * (1 + far), (Routed(weight, same, same),))


'''
OPERATOR = """GATE = Operator(
    "gate", "Cubes.", "`y = x^2 x`, the factor held", lrp.Gate, lambda chooser: Drawn([any_shape(chooser)]), elementwise=True
)
"""
CASES = """def gates() -> Iterator[Recipe]:
    for rule in (ZERO, PASS, GRADIENT):
        yield _case(f"gate.{rule['rule']}", node("gate"), integers((2, 3), [-2, 1, 0, 4, "1/2", -1]), rule)


"""
OUTPUTS = """    elif op == "gate":
        outputs = [affine([tap(name, x, i, x.data[i] * x.data[i])]) for i in range(len(x.data))]
"""
MUTE_LAYER = (
    Row("lrp_ref/layers/normalization.py", "def _root(", GATE),
    Row("lrp_ref/layers/normalization.py", '"Scale"]', '"Gate", '),
)
LAYER = (
    Row("lrp_ref/layers/normalization.py", "def _root(", GATE.rstrip() + "\n\n" + DRIFT),
    MUTE_LAYER[1],
    Row("conformance/lrp_conform/cases/operators/normalizing.py", "ROWS = (", OPERATOR),
    Row("conformance/lrp_conform/cases/operators/normalizing.py", "BATCH_NORM, LRN, SCALE)", "GATE, "),
    Row(f"{RECIPES}/kinds.py", "def recipes()", CASES),
    Row(f"{RECIPES}/kinds.py", '        "layers/scale": list', '        "layers/gate": list(gates()),\n'),
    Row("tests/oracle/values.py", '    "softmax",\n)', '    "gate",\n'),
    Row("tests/oracle/values.py", '    elif op == "lrn":', OUTPUTS),
)

SAID = "    reads_output: ClassVar[bool] = True\n"
UNSAID = BY_SIGN.replace("BySign", "Unsaid").replace("by-sign", "unsaid").replace(SAID, "")
DENIED = BY_SIGN.replace("BySign", "Denied").replace("by-sign", "denied").replace(SAID, SAID.replace("True", "False"))
TRAPS = (
    *rule("BySign", BY_SIGN),
    *rule("Unsaid", UNSAID),
    *rule("Denied", DENIED),
    *MUTE_LAYER,
    Row("lrp_ref/layers/activation.py", '    "relu": Function(', '    "eighth": (lambda x: x**8, lambda x: 8 * x**7),\n'),
    Row("lrp_ref/stabilizers.py", '    "none": _own(', '    "shifted": lambda d, eps, sgn: d + eps * rms(d),\n'),
)
