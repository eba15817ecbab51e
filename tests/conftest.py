"""What holds for every test: the profile of Hypothesis, and golden files that are read once in a process."""

from pathlib import Path

import examples  # noqa: F401
from inline import EVERY

from lrp_conform.cases import golden
from lrp_conform.cases.golden import AnyCase

SHIPPED, LOAD_FILE, LOAD_ALL = golden.root(), golden.load_file, golden.load_all


def load_all(directory: Path | None = None) -> list[AnyCase]:
    """Every case of the shipped set as it was read at first; any other set is read."""
    shipped = (directory or golden.root()) == SHIPPED and golden.load_file is LOAD_FILE
    return list(EVERY) if shipped else LOAD_ALL(directory)


golden.load_all = load_all  # here, since modules ask while their tests are collected
