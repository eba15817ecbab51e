"""What the source text must keep: rules without arrays or decimals, one direction of dependence, a light import."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lrp_ref as lrp

PACKAGE = Path(lrp.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("scipy", "torch", "rich", "flint", "click", "cupy", "matplotlib", "PIL", "onnx", "jinja2")


def imports(tree: ast.AST) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def parsed(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"))


def in_a_fresh_interpreter(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_rules_know_no_array_module() -> None:
    roots = {name.split(".")[0] for name in imports(parsed("rules.py"))}
    assert roots <= {"collections", "dataclasses", "typing", "lrp_ref"}


def test_formulas_of_rules_have_no_decimals() -> None:
    """A float literal would turn rationals into floats; the defaults of parameters are converted once, at the door."""
    tree = parsed("rules.py")
    formulas = [
        node
        for rule in tree.body
        if isinstance(rule, ast.ClassDef)
        for node in rule.body
        if isinstance(node, ast.FunctionDef) and node.name in ("parts", "rescaled")
    ]
    assert len(formulas) >= len(lrp.RULES)
    literals = [node.value for f in formulas for node in ast.walk(f) if isinstance(node, ast.Constant)]
    assert not [value for value in literals if isinstance(value, float)]


def test_the_reference_never_imports_the_suite() -> None:
    assert len(FILES) > 10
    for path in FILES:
        names = imports(ast.parse(path.read_text(encoding="utf-8")))
        assert not {name for name in names if name.split(".")[0] in ("lrp_conform", "tests", "oracle")}, path


def test_computing_relevance_loads_nothing_heavy() -> None:
    code = (
        "import sys, numpy as np, lrp_ref as lrp\n"
        "layer = lrp.Conv(np.ones((1, 1, 2)))\n"
        "lrp.propagate(layer, np.ones((1, 1, 3)), np.ones((1, 1, 2)), lrp.AlphaBeta()).ledger.check()\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert in_a_fresh_interpreter(code) == "[]"


def test_importing_the_package_loads_no_submodule() -> None:
    code = "import sys, lrp_ref; print(sorted(m for m in sys.modules if m.startswith(('lrp_ref', 'numpy', 'array_api'))))"
    assert in_a_fresh_interpreter(code) == "['lrp_ref']"


def test_every_public_name_loads_and_is_listed() -> None:
    code = (
        "import lrp_ref as lrp\n"
        "assert set(lrp.__all__) <= set(dir(lrp))\n"
        "from lrp_ref import *\n"
        "print(all(getattr(lrp, n) is globals()[n] for n in lrp.__all__), lrp.layers.__name__)"
    )
    assert in_a_fresh_interpreter(code) == "True lrp_ref.layers"


def test_every_line_of_the_stub_is_what_the_package_gives() -> None:
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    lines = [
        (node.module, alias.name, alias.asname)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    rows, whole = [row for row in lines if row[1] != "*"], [module for module, name, _ in lines if name == "*"]
    assert {name: module for module, name, _ in rows} == lrp._HOME
    assert all(name == shown for _, name, shown in rows), "type checkers hide what is not imported as itself"
    rows += [(module, name, name) for module in whole for name in importlib.import_module(str(module)).__all__]
    assert sorted(lrp.__all__) == sorted(name for module, name, _ in rows if module != "lrp_ref")
    for module, name, _ in rows:
        home = importlib.import_module(str(module))
        assert getattr(lrp, name) is getattr(home, name)
        assert not isinstance(getattr(home, name), ModuleType) or module == "lrp_ref"


def test_every_rule_and_every_layer_is_a_public_name() -> None:
    kinds = [*lrp.RULES.values(), *lrp.layers.registered(), *classes("lrp_ref.layers", "affine")]
    assert {kind.__name__ for kind in kinds if getattr(lrp, kind.__name__, None) is not kind} == set()


def classes(package: str, having: str) -> list[type]:
    """What is defined in the modules of a package, is no protocol, and has that attribute."""
    names = [f"{package}.{module.name}" for module in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    found = [(name, one) for name in names for one in vars(importlib.import_module(name)).values() if isinstance(one, type)]
    defined = [one for name, one in found if one.__module__ == name and hasattr(one, having)]
    return [one for one in defined if not getattr(one, "_is_protocol", False)]


@pytest.mark.parametrize(
    "first",
    [
        "import lrp_ref.propagation.gauges, lrp_ref.propagation.propagate",
        "from lrp_ref.propagation.propagate import settle",
        "pass",
    ],
)
def test_names_shared_with_a_module_mean_the_function(first: str) -> None:
    code = f"{first}\nimport lrp_ref as lrp\nprint(type(lrp.propagate).__name__, type(lrp.bounds).__name__)"
    assert in_a_fresh_interpreter(code) == "function function"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_say_what_they_do(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name}"


@pytest.mark.parametrize("rule", lrp.RULES.values(), ids=lambda rule: rule.name)
def test_every_rule_states_its_formula(rule: type) -> None:
    assert " = " in (rule.__doc__ or "")
