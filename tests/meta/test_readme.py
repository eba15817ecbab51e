"""What the README prints is what happens."""

import doctest
import re
import textwrap
from pathlib import Path

import click
import pytest
import torchvision_shim

from lrp_conform import cli
from lrp_conform.candidates import adapter
from lrp_conform.cases import golden
from lrp_conform.running import runner

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_of_the_reference_print_what_they_say() -> None:
    found = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert found.attempted >= 8
    assert found.failed == 0


def printed(start: str, end: str) -> str:
    """The indented block of the README from one line to another."""
    block = re.search(rf"    {start}\n.*?{end}\n", README, re.DOTALL)
    assert block is not None
    return textwrap.dedent(block.group())


def test_the_adapter_runs_as_printed_and_is_conformant(tmp_path: Path) -> None:
    text = printed("import torch", r"numpy\(\)\}")
    assert len(text.splitlines()) <= 15
    pytest.importorskip("torch", reason="torch is not installed")
    torchvision_shim.install()
    pytest.importorskip("zennit", reason="zennit is not installed")
    path = tmp_path / "adapter.py"
    path.write_text(text, encoding="utf-8")
    (mine,) = adapter.load(str(path))
    found = [r for r in runner.run(mine, golden.load(), ["float64", "float32"]) if r.verdict != "unsupported"]
    assert len(found) > 100
    assert {r.verdict for r in found} == {"exact", "conformant", "indeterminate"}


def test_the_job_is_short_and_calls_what_there_is() -> None:
    job = printed("on: push", r"path: report\}")
    assert len(job.splitlines()) <= 15
    commands = [line.split("run:")[1].strip() for line in job.splitlines() if "- run:" in line]
    assert commands[1] == "lrp-conform run adapter.py --report report"
    assert "report/summary.md" in commands[2]


def test_every_command_it_names_exists() -> None:
    known = set(cli.COMMANDS.list_commands(click.Context(cli.COMMANDS)))
    assert set(re.findall(r"`?lrp-conform ([a-z-]+)", README)) <= known


def test_every_file_it_names_exists() -> None:
    named = re.findall(r"`((?:docs|golden)/[a-z_./]+)`|\]\((docs/[a-z./]+)\)", README)
    assert len(named) >= 6
    for name in named:
        assert (ROOT / (name[0] or name[1])).exists(), name


def test_the_commands_are_the_two_of_continuous_integration() -> None:
    commands = [line for line in README.splitlines() if line.startswith("    python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("lrp-conform run")
    assert commands[1].endswith("-m pytest -n auto")
