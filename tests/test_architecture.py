"""The shape of the two packages, read from their imports: no circle, and every import goes down."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = {"lrp_ref": ROOT / "lrp_ref", "lrp_conform": ROOT / "conformance" / "lrp_conform"}
AT_THE_ROOT = {"lrp_ref": 12, "lrp_conform": 5}  # modules, at most

# From the ground up: a module, or a folder, imports nothing that stands after it.
ORDERS = {
    "lrp_ref": """
        __init__ text kernels blas arrays values biases boxes stabilizers rules dialects algebra layers files
        propagation fast network transforms composites onnx pictures streaming commands cli __main__
    """,
    "lrp_conform": """
        __init__ builders wire cases candidates judging running making diagnosis smoke report compare proof fresh commands
        cli __main__
    """,
}
# Loaded by its name, up the order, when it is first needed: what works without, or what a string names.
BY_NAME = {
    "lrp_ref.kernels": "lrp_ref.fast.table",  # kernels beside the plain text, which a user may leave out
    "lrp_ref.network.composite": "lrp_ref.composites",  # a preset given as text, "zennit.epsilon_plus"
}
Graph = dict[str, set[str]]


def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file."""
    found = {}
    for path in sorted(PLACES[package].rglob("*.py")):
        parts = (package, *path.relative_to(PLACES[package]).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def graph(package: str) -> Graph:
    """Every module, and those of the same package that it imports anywhere in its text, or that run before them."""
    known = modules(package)
    found = {}
    for name, path in known.items():
        needs = set(imported(ast.parse(path.read_text(encoding="utf-8")), known))
        found[name] = {loaded for need in needs for loaded in run_first(need) if not f"{name}.".startswith(f"{loaded}.")}
    return found


def run_first(name: str) -> list[str]:
    """What runs when a module is imported: the folders it lies in below the package, and itself."""
    parts = name.split(".")
    return [".".join(parts[: k + 1]) for k in range(min(1, len(parts) - 1), len(parts))]


def imported(tree: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names:
                names = (f"{node.module}.{alias.name}", node.module or "")
                yield from [name for name in names if name in known][:1]


def loaded_by_name(tree: ast.AST) -> list[str]:
    """The modules that a text loads by a name written in it, as `import_module("name")`."""
    return [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__")
        and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    ]  # fmt: skip


def unit(name: str) -> str:
    """The folder or module below the package that a module belongs to."""
    return name.split(".")[1] if "." in name else "__init__"


def circle(imports: Graph) -> list[str]:
    """Modules that import each other in a ring, or none."""
    left = {name: set(needs) for name, needs in imports.items()}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    if not left:
        return []
    path = [next(iter(left))]
    while path.count(path[-1]) < 2:
        path.append(next(iter(sorted(left[path[-1]] & left.keys()))))
    return path[path.index(path[-1]) :]


@pytest.mark.parametrize("package", PLACES)
def test_no_modules_import_each_other(package: str) -> None:
    assert circle(graph(package)) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]


@pytest.mark.parametrize("package", PLACES)
def test_every_import_goes_down_the_order_of_the_folders(package: str) -> None:
    order = ORDERS[package].split()
    up = [
        f"{name} imports {other}"
        for name, needs in graph(package).items()
        for other in sorted(needs)
        if unit(name) != unit(other) and order.index(unit(other)) > order.index(unit(name))
    ]
    assert up == []


def test_what_is_loaded_by_name_is_stated_here() -> None:
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for package in PLACES for name, path in modules(package).items()}
    found = {(name, other) for name, tree in trees.items() for other in loaded_by_name(tree)}
    assert found == set(BY_NAME.items())


def test_what_is_loaded_by_name_is_found() -> None:
    text = 'import importlib\nimportlib.import_module("a.b").c\nimport_module(name)\n__import__("d")'
    assert sorted(loaded_by_name(ast.parse(text))) == ["a.b", "d"]


@pytest.mark.parametrize("package", PLACES)
def test_the_order_names_every_folder_and_module_at_the_root_once(package: str) -> None:
    assert sorted(ORDERS[package].split()) == sorted({unit(name) for name in modules(package)})


@pytest.mark.parametrize("package", PLACES)
def test_the_root_holds_a_handful_of_modules(package: str) -> None:
    assert len([path for path in PLACES[package].glob("*.py") if path.stem != "__init__"]) <= AT_THE_ROOT[package]


@pytest.mark.parametrize(
    "path",
    [path for place in PLACES.values() for path in sorted([*place.glob("*/__init__.py"), *place.glob("*.py")])],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_a_folder_or_a_module_at_the_root_says_in_one_line_what_it_is(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert said
    assert 20 < len(said.splitlines()[0]) < 160
    assert said.splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_every_folder_of_modules_is_a_package(place: Path) -> None:
    assert [path for path in {path.parent for path in place.rglob("*.py")} if not (path / "__init__.py").is_file()] == []


def test_no_two_classes_share_a_name() -> None:
    found = [
        (node.name, name)
        for package in PLACES
        for name, path in modules(package).items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    counts = Counter(name for name, _ in found)
    assert [f"{name} in {module}" for name, module in sorted(found) if counts[name] > 1] == []
