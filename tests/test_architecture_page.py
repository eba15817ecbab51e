"""`docs/architecture.md` is true: its names resolve, its examples run, its listings and its walks are those of the code."""

import ast
import doctest
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click
import numpy as np
import pytest
from test_architecture import ORDERS, ROOT

import lrp_conform.cli
import lrp_ref as lrp
import lrp_ref.cli
from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases import golden
from lrp_conform.report import terminal
from lrp_conform.running import runner
from lrp_conform.wire.serve import Server
from lrp_ref.commands.commandline import Commands

PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")
PLACES = {"lrp_ref": "lrp_ref", "lrp_conform": "conformance/lrp_conform"}
COMMANDS = {"lrp-ref": lrp_ref.cli.COMMANDS, "lrp-conform": lrp_conform.cli.COMMANDS}
DOORS = ("__init__", "__main__", "cli")  # of a package, of which its listing does not speak
HOP = re.compile(r"^\| `([\w/]+\.py):([\w.]+)` \|", re.MULTILINE)


def unresolved(text: str, root: Path = ROOT) -> list[str]:
    """The names between backticks, and the targets of links, that stand for nothing below `root`."""
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    names, links = re.findall(r"`([^`]+)`", prose), re.findall(r"\]\(([^)#]+)\)", prose)
    return [name for name in names if not resolves(name, root)] + [
        link for link in links if not (root / "docs" / link).exists()
    ]


def resolves(name: str, root: Path) -> bool:
    """Whether it is a file, a name in a file, a public or a dotted name, a command with its option, or a golden case."""
    path, _, inside = name.partition(":")
    if "/" in path:
        return (root / path).exists() and (not inside or defined((root / path), inside.split(".")))
    command, *words = name.split()
    if command in COMMANDS:
        return not words or told(COMMANDS[command], *words)
    head, *attributes = name.split(".")
    if head == "lrp":
        stub = (root / "lrp_ref" / "__init__.pyi").read_text(encoding="utf-8")
        return re.search(rf"^from \S+ import {attributes[0]} as ", stub, re.MULTILINE) is not None and len(attributes) == 1
    if head in PLACES:
        place = (root / PLACES[head]).joinpath(*attributes)
        return place.is_dir() or place.with_suffix(".py").is_file()
    return name in golden.uids()


def told(commands: Commands, verb: str, *options: str) -> bool:
    """Whether there is such a command, with these options."""
    command = commands.get_command(click.Context(commands), verb)
    return command is not None and {*options} <= {name for param in command.params for name in param.opts}


def defined(path: Path, parts: list[str]) -> bool:
    """Whether the text of a file defines a name: a function, a class, a variable, or a member of a class of it."""
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for part in parts:
        found = [node for node in body if part in named(node)]
        if not found:
            return False
        body = getattr(found[-1], "body", [])
    return True


def named(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def listed(text: str, package: str) -> str:
    """The rows that the page has below the head of a package's listing."""
    return text.split(f"| `{PLACES[package]}/` | |\n|---|---|\n")[1].split("\n\n")[0]


def standing(package: str, root: Path = ROOT) -> str:
    """Those rows, written from the order of the folders and the first lines of their docstrings."""
    return "\n".join(
        f"| {name} | {first_line(root / PLACES[package], name)} |" for name in ORDERS[package].split() if name not in DOORS
    )


def first_line(place: Path, name: str) -> str:
    path = place / f"{name}.py"
    path = path if path.is_file() else place / name / "__init__.py"
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]


def hops(title: str, text: str = TEXT) -> list[str]:
    """The hops of one section, or of what follows one line of it, in their order."""
    return [f"{path}:{name}" for path, name in HOP.findall(text.split(f"\n{title}\n")[1].split("\n## ")[0])]


def calls(what: Callable[[], Any]) -> list[str]:
    """Every function of ours that runs, in the order of the calls."""
    seen: list[str] = []
    home = f"{ROOT}{os.sep}"

    def watch(frame: FrameType, event: str, _: Any) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(home):
            seen.append(f"{path[len(home) :].replace(os.sep, '/')}:{frame.f_code.co_qualname}")

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        what()
    finally:
        sys.setprofile(before)
    return seen


def missed(wanted: list[str], made: list[str]) -> list[str]:
    """The hops, from the first that does not come after the ones before it."""
    left: Iterator[str] = iter(made)
    return next((wanted[k:] for k, hop in enumerate(wanted) if hop not in left), [])


def neuron() -> None:
    layer = lrp.Dense(lrp.exact([[1, -1]]), lrp.exact([-1]))
    lrp.propagate(layer, lrp.exact([1, 1]), lrp.exact([-1]), lrp.AlphaBeta(2, 1)).ledger.totals()


def network() -> None:
    dense = lrp.Node("dense", lrp.Dense(lrp.exact([[1, -1], [2, 1]])))
    net = lrp.Network([dense, lrp.Node("sum", lrp.Add(), ("dense", "x"))])
    net.explain(lrp.exact([[2, 1]]), lrp.Composite([lrp.Assign(lrp.Zero())]), target=1).ledger.totals()


def case() -> None:
    cases = [one for one in golden.load_file(golden.root() / "vectors" / "v0.json") if one.id == "v0.alpha2-beta1"]
    candidates = load(source := CandidateSource())
    second = [one for one in candidates if one.name == "seeds/2-alpha-beta"]
    for one in candidates:
        one.close()
    for _, results in runner.serially(runner.tasks(source, second, cases, ["float64"], ["cpu"])):
        assert [r.judgement.dialect for r in results] == ["bias.full_in_both + stabilizer.replace_zero-1e-7"]
        terminal.summary(results, terminal.console())


def served() -> None:
    (asked,) = [one for one in golden.load_all() if one.id == "v0.alpha2-beta1"]
    said = asked.adapter_case("float64")
    server = Server("lrp_conform.candidates.shipped.seeds")
    for message in (
        {"op": "hello", "system": "2-alpha-beta"},
        {"op": "configure", "dtype": "float64"},
        {"op": "prepare", "nodes": said["nodes"], "rules": said["rules"]},
        {"op": "run", "handle": 1, "x": said["x"], "relevance": said["relevance"]},
    ):
        answer = server.answer(message)
    assert np.array_equal(answer["relevance"], [[-2e7, 0.5]])


THERE = "| hop there | |"
WALKS = {
    "one call": (neuron, hops("## One call of the reference")),
    "one network": (network, hops("## One network")),
    "one case": (case, [hop for hop in hops("## One case of the suite") if hop not in hops(THERE)[:3]]),
    "in the candidate's process": (served, hops(THERE)[:3]),
}


def test_every_name_on_the_page_resolves() -> None:
    assert unresolved(TEXT) == []


def test_the_examples_of_the_page_run_as_printed() -> None:
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted >= 40
    assert found.failed == 0


@pytest.mark.parametrize("package", PLACES)
def test_the_listing_is_that_of_the_folders_and_their_docstrings(package: str) -> None:
    assert listed(TEXT, package) == standing(package)


@pytest.mark.parametrize("walk", WALKS)
def test_the_calls_pass_the_hops_in_the_order_of_the_page(walk: str) -> None:
    what, wanted = WALKS[walk]
    assert len(wanted) >= 3
    assert missed(wanted, calls(what)) == []


def test_a_hop_out_of_order_is_missed() -> None:
    first, second, *others = hops("## One call of the reference")
    assert missed([second, first, *others], calls(neuron)) == [first, *others]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("lrp_ref", "conformance", "docs", "golden", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.glob("*.md"):
        shutil.copy(path, tmp_path)
    assert unresolved(TEXT, tmp_path) == []
    return tmp_path


def rewritten(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def renamed(root: Path) -> None:
    (root / "conformance" / "lrp_conform" / "judging").rename(root / "conformance" / "lrp_conform" / "verdicts")


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a function has another name": (
        lambda root: rewritten(root / "lrp_ref/propagation/shares.py", "def normalized(", "def shared("),
        "lrp_ref/propagation/shares.py:normalized",
    ),
    "a method has gone": (
        lambda root: rewritten(root / "lrp_ref/rules.py", "def parts(", "def shares("),
        "lrp_ref/rules.py:AlphaBeta.parts",
    ),
    "a folder has another name": (renamed, "conformance/lrp_conform/judging/judge.py:resolve"),
    "a public name has gone": (
        lambda root: rewritten(root / "lrp_ref/__init__.pyi", "bounds as bounds", "limits as limits"),
        "lrp.bounds",
    ),
    "a page has gone": (lambda root: (root / "docs" / "extending.md").unlink(), "extending.md"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_moved_is_told(change: str, copy: Path) -> None:
    move, name = CHANGES[change]
    move(copy)
    assert name in unresolved(TEXT, copy)


def test_a_folder_that_says_something_else_is_told(copy: Path) -> None:
    rewritten(copy / "lrp_ref" / "propagation" / "__init__.py", "One layer:", "A layer:")
    assert listed(TEXT, "lrp_ref") != standing("lrp_ref", copy)
    assert listed(TEXT, "lrp_conform") == standing("lrp_conform", copy)
