"""What is added as CONTRIBUTING says is known everywhere: rows put into a copy of the tree, and the suite asked there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from additions import LAYER, ROOT, RULE, TRAPS, Row, add, copied

ADAPTER = '''"""The three additions in NumPy."""
import numpy as np

INFO = {
    "name": "mine", "version": "1", "dtypes": ["float64"],
    "features": [
        "op.dense", "op.gate", "rule.z-minus", "rule.by-sign", "rule.zero", "rule.pass", "rule.gradient", 
        "bias.absorb", "bias.ignore",
        "stabilizer.none", "stabilizer.signed_add",
    ],
}


def run(case):
    node, x, R = case["nodes"][0], case["x"], case["relevance"]
    rule = case["rules"][node["name"]]
    if node["op"] == "gate":
        y = x**3
        ways = {"zero": y * over(y, R, rule["stabilizer"]), "pass": R, "gradient": x**2 * R}
        return {"y": y, "relevance": ways[rule["rule"]]}
    z = node["params"]["weight"] * x[:, None, :]
    b = node["params"]["bias"]
    y = z.sum(-1) + b
    negative = (np.ones_like(y) if rule["rule"] == "z-minus" else -y) > 0
    n = np.where(negative[..., None], np.minimum(z, 0), np.maximum(z, 0))
    c = (rule["bias"] == "absorb") * np.where(negative, np.minimum(b, 0), np.maximum(b, 0))
    if rule["rule"] == "by-sign":
        R = R * (y != 0)
    return {"y": y, "relevance": (n * over(n.sum(-1) + c, R, rule["stabilizer"])[..., None]).sum(1)}


def over(d, R, stabilizer):
    D = d + (stabilizer["kind"] == "signed_add") * np.where(d < 0, -1, 1) * stabilizer["epsilon"]
    return np.where(D == 0, 0, R / np.where(D == 0, 1, D))
'''
KNOWN = """
import json
from lrp_conform.cases import golden, model
from lrp_conform.making import generate
from lrp_conform.report import formulas

cases = [c for c in golden.load() if c.id.startswith(("dense.z-minus", "dense.by-sign", "gate"))]
assert all((generate.ROOT / "golden" / name).read_text() == text for name, text in generate.documents().items())
print(json.dumps({
    "certificates": {c.id: c.data["certificates"] for c in cases},
    "features": sorted(model.known_features() & {"rule.z-minus", "rule.by-sign", "op.gate"}),
    "formulas": [name for name in formulas.parts() if name in ("z-minus", "by-sign")],
    "schema": (generate.ROOT / "golden/schema.json").read_text(),
    "readme": (generate.ROOT / "golden/README.md").read_text(),
}))
"""
ASKED = """
import json
import numpy as np
import lrp_ref as lrp

rng, said = np.random.default_rng(0), {}
dense = lrp.Dense(rng.standard_normal((5, 7)), rng.standard_normal(5))
x, R = rng.standard_normal((3, 7)), rng.standard_normal((3, 5))


def tell(name, ask):
    try:
        said[name] = ask()
    except lrp.LRPError as error:
        said[name] = str(error)


def apart(rule, **how):
    ways = [lrp.propagate(dense, x, R, rule, representation=w, **how).relevance for w in ("structured", "explicit")]
    return float(np.abs(ways[0] - ways[1]).max())


def bounded(*layers, stabilizer=None):
    net = lrp.Network([lrp.Node(f"n{k}", layer) for k, layer in enumerate((dense, *layers))])
    rules = lrp.Composite([lrp.Assign(lrp.Epsilon(0.25), stabilizer=stabilizer)])
    return net.explain(x, rules, target=0, bounds=True).bounds is not None


tell("by-sign", lambda: apart(lrp.BySign()))
tell("unsaid", lambda: apart(lrp.Unsaid()))
tell("denied", lambda: apart(lrp.Denied()))
tell("stabilizer", lambda: apart(lrp.Zero(), stabilizer=lrp.Stabilizer("shifted", 0.25)))
tell("bounds", lambda: bounded())
tell("bounds of the stabilizer", lambda: bounded(stabilizer=lrp.Stabilizer("shifted", 0.25)))
tell("bounds of the layer", lambda: bounded(lrp.Gate()))
tell("bounds of the activation", lambda: bounded(lrp.Activation("eighth")))
said["same"] = bool(np.array_equal(lrp.propagate(dense, x, R, lrp.BySign()).relevance,
                                   lrp.propagate(dense, x, R, lrp.Unsaid()).relevance))
print(json.dumps(said))
"""


def run(root: Path, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Python in the copy, and with nothing of this tree."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "conformance"))), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *args], check=False, cwd=root, env=env, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with two rules and a layer more, and a few cases of each."""
    root = copied(tmp_path_factory.mktemp("grown"))
    add(root, (*RULE, *LAYER))
    globs = ("dense.z-minus.exact-0[12]", "dense.by-sign.exact-0[12]", "gate.*")
    run(root, "-m", "lrp_conform", "generate", "--workers", "1", *(word for glob in globs for word in ("--case", glob)))
    return root


@pytest.mark.slow
def test_their_cases_are_certified_and_every_table_has_them(grown: Path) -> None:
    known = json.loads(run(grown, "-c", KNOWN).stdout)
    assert len(known["certificates"]) == 7
    for passed in known["certificates"].values():
        assert {"exact-rational", "explicit-equals-structured", "second-oracle", "ledger-balances"} <= set(passed)
    assert known["features"] == ["op.gate", "rule.by-sign", "rule.z-minus"]
    assert known["formulas"] == ["z-minus", "by-sign"] or known["formulas"] == ["by-sign", "z-minus"]
    for name in ("z-minus", "by-sign", "gate"):
        assert f'"const": "{name}"' in known["schema"]
        assert f"\n| `{name}` |" in known["readme"]


@pytest.mark.slow
def test_an_adapter_that_implements_them_is_exact(grown: Path) -> None:
    (grown / "mine.py").write_text(ADAPTER, encoding="utf-8")
    globs = [word for glob in ("dense.z-minus.*", "dense.by-sign.*", "gate.*") for word in ("--case", glob)]
    run(grown, "-m", "lrp_conform", "run", "mine.py", *globs, "--in-process", "--report", "report", "--no-cards")
    results = [json.loads(line) for line in (grown / "report/results.ndjson").read_text(encoding="utf-8").splitlines()]
    verdicts = {r["case"]: r["verdict"] for r in results if r.get("dtype") == "float64"}
    assert verdicts == dict.fromkeys(verdicts, "exact")
    assert len(verdicts) == 7


@pytest.mark.slow
def test_every_law_holds_for_them(grown: Path) -> None:
    laws = (
        "test_rules_laws",
        "test_propagate",
        "test_drift_laws",
        "test_fast_rules",
        "test_fast",
        "test_operators",
        "test_dialects",
    )
    chosen = ["-k", "z-minus or by-sign or gate or Gate", "-p", "no:cacheprovider", "-q"]
    done = run(grown, "-m", "pytest", *(f"tests/{law}.py" for law in laws), *chosen)
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 100


def test_what_says_too_little_is_sound_or_refused_in_one_line(tmp_path: Path) -> None:
    root = copied(tmp_path, ("lrp_ref",))
    add(root, TRAPS)
    said: dict[str, Any] = json.loads(run(root, "-c", ASKED).stdout)
    assert said["same"]
    assert all(said[name] < 1e-12 for name in ("by-sign", "unsaid", "stabilizer"))
    assert said["bounds"] is True
    wrong = {
        "denied": "Denied: its parts read the output y, but reads_output is False; say reads_output = True",
        "bounds of the layer": "bounds are not known for Gate, which does not say how far it moves with x; give it",
        "bounds of the activation": "bounds are not known for the activation 'eighth': its row of FUNCTIONS does not say",
        "bounds of the stabilizer": "bounds are not known for",
    }
    for name, line in wrong.items():
        assert line in said[name], (name, said[name])
        assert "\n" not in said[name]


@pytest.mark.parametrize(("change", "rows", "most"), [("a rule", RULE, 2), ("a layer", LAYER, 2)])
def test_contributing_names_every_file_of_it(change: str, rows: tuple[Row, ...], most: int) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {change} |")]
    named = re.findall(r"`([\w./]+(?:\.py|/))`", line)
    touched = {row.path for row in rows}
    assert {path for path in touched if not path.startswith(tuple(named))} == set()
    assert len([path for path in touched if "/recipes/" not in path and not path.startswith("tests/oracle/")]) <= most
