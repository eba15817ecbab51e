"""A user's repository that has a `conformance` of its own runs pytest with our plugin installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

USES = "from conformance.helper import HELPED\n\n\ndef test_own():\n    assert HELPED == 1\n"
REPOSITORIES = {
    "a package": {"conformance/__init__.py": "", "conformance/helper.py": "HELPED = 1\n", "tests/test_own.py": USES},
    "a plain folder": {"conformance/helper.py": "HELPED = 1\n", "tests/test_own.py": USES},
    "a folder of tests": {
        "conformance/__init__.py": "",
        "conformance/helper.py": "HELPED = 1\n",
        "conformance/test_own.py": USES,
    },
    "a module": {"conformance.py": "HELPED = 1\n", "tests/test_own.py": USES.replace("conformance.helper", "conformance")},
}


def python(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run([sys.executable, *args], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("files", REPOSITORIES.values(), ids=REPOSITORIES)
def test_a_repository_with_a_conformance_of_its_own_runs_pytest(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    others = [word for name in ("cacheprovider", "hypothesispytest", "xdist") for word in ("-p", f"no:{name}")]
    run = python("-m", "pytest", *others, "--trace-config", cwd=tmp_path)
    assert "1 passed" in run.stdout, run.stdout[-2000:] + run.stderr[-2000:]
    assert "lrp_conform.commands.pytest_plugin" in run.stdout


def test_the_folder_of_the_suite_is_no_second_way_to_import_it() -> None:
    empty = python("-c", "import conformance; print([n for n in vars(conformance) if not n.startswith('__')])", cwd=ROOT)
    assert empty.stdout.strip() == "[]" or "ImportError" in empty.stderr
    second = python("-c", "import conformance.lrp_conform.cases.layer", cwd=ROOT)
    assert second.returncode == 1
    assert second.stderr.strip().endswith("ImportError: conformance.lrp_conform: the package is imported as lrp_conform")
