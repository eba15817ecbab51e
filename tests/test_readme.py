"""What the README prints is what happens."""

import doctest
import re
import textwrap
from pathlib import Path

from conformance import adapter, golden, runner

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_of_the_reference_print_what_they_say() -> None:
    found = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert found.attempted >= 8
    assert found.failed == 0


def test_the_adapter_runs_as_printed_and_is_conformant(tmp_path: Path) -> None:
    block = re.search(r"    import numpy as np\n.*?x \* \(s @ W\)\}\n", README, re.DOTALL)
    assert block is not None
    text = textwrap.dedent(block.group())
    assert len(text.splitlines()) <= 15
    path = tmp_path / "my_adapter.py"
    path.write_text(text, encoding="utf-8")
    (mine,) = adapter.load(str(path))
    found = [r for r in runner.run(mine, golden.load(), ["float64", "float32"]) if r.verdict != "unsupported"]
    assert len(found) > 50
    assert {r.verdict for r in found} == {"exact", "conformant", "indeterminate"}


def test_every_file_it_names_exists() -> None:
    for name in re.findall(r"`((?:docs|golden)/[a-z_.]+)`|\]\((docs/[a-z.]+)\)", README):
        assert (ROOT / (name[0] or name[1])).is_file(), name


def test_the_commands_are_the_two_of_continuous_integration() -> None:
    commands = [line for line in README.splitlines() if line.startswith("    python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("lrp-conform run")
    assert commands[1].endswith("-m pytest")
