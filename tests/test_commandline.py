"""What both commands share: where modules are loaded, what a mistake looks like, and what is missing."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from waiting import PATIENCE

import lrp_ref
from lrp_conform import cli as conform
from lrp_ref import cli as ref
from lrp_ref.commands.commandline import Commands, Several, command, option, run
from lrp_ref.text import extras
from lrp_ref.text.nearest import nearest

BOTH = [("lrp-ref", ref), ("lrp-conform", conform)]
Printed = pytest.CaptureFixture[str]
both = pytest.mark.parametrize(("name", "module"), BOTH, ids=[name for name, _ in BOTH])
commands = pytest.mark.parametrize(
    ("module", "name"), [(module, name) for _, module in BOTH for name in module.COMMANDS.table], ids=lambda v: str(v)[-30:]
)
OPTIONAL = (
    "flint",
    "rich",
    "psutil",
    "safetensors",
    "jinja2",
    "jsonschema_rs",
    "matplotlib",
    "PIL",
    "onnx",
    "distributed",
    "hypothesis",
)


def in_a_bare_installation(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where no extra is installed."""
    hidden = f"import sys\nfor name in {OPTIONAL!r}: sys.modules[name] = None\n"
    return subprocess.run([sys.executable, "-c", hidden + code], capture_output=True, text=True, check=False)


# Help and version -----------------------------------------------------------------------------------------------------


@both
def test_help_lists_every_command_with_a_sentence(name: str, module: ModuleType, capsys: Printed) -> None:
    assert module.main(["-h"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    listed = out.split("Commands:\n")[1]
    for each in module.COMMANDS.table:
        assert f"\n  {each} " in f"\n{listed}"
    assert "..." not in listed.replace("(N, ...)", "")


@commands
def test_every_command_says_what_its_arguments_and_options_are(module: ModuleType, name: str, capsys: Printed) -> None:
    assert module.main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: {module.COMMANDS.name} {name} [OPTIONS]")
    found = module.COMMANDS.get_command(click.Context(module.COMMANDS), name)
    assert found.name == name
    assert found.help
    for param in found.params:
        assert getattr(param, "help", None) or getattr(param, "about", None), param.name


@both
def test_the_version_is_the_packages(name: str, module: ModuleType, capsys: Printed) -> None:
    assert module.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"{name} {lrp_ref.__version__}")


@pytest.mark.parametrize(("package", "name"), [("lrp_ref", "lrp-ref"), ("lrp_conform", "lrp-conform")])
def test_a_package_runs_as_its_command(package: str, name: str) -> None:
    run = subprocess.run([sys.executable, "-m", package, "nothing"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"{name}: no command 'nothing'; ")


@both
def test_without_a_command_there_is_help_and_status_2(name: str, module: ModuleType, capsys: Printed) -> None:
    assert module.main([]) == 2
    out, err = capsys.readouterr()
    assert (out, err.split("\n")[0]) == ("", f"Usage: {name} [OPTIONS] COMMAND [ARGS]...")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@both
def test_shells_complete_commands(name: str, module: ModuleType, shell: str) -> None:
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    words = {"COMP_WORDS": f"{name} sh" if name == "lrp-conform" else f"{name} comp", "COMP_CWORD": "1"}
    if shell == "fish":
        words["COMP_CWORD"] = words["COMP_WORDS"].split()[1]
    environment = {**os.environ, variable: f"{shell}_complete", **words}
    code = f"import sys; sys.argv = [{name!r}]; from {module.__name__} import main; sys.exit(main())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    expected = {"lrp-ref": {"compare", "composites"}, "lrp-conform": {"show", "shrink"}}[name]
    assert expected <= set(run.stdout.replace(",", "\n").split())


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["rejudge", "nosuch"], "missing --out; see lrp-conform rejudge --help"),
        (["rejudge"], "missing FOLDER; see lrp-conform rejudge --help"),
        (["run", "--stric"], "no option --stric; did you mean '--strict'?; see lrp-conform run --help"),
        (["run", "--jobs", "0"], "--jobs: 0 is not in the range x>=1; see lrp-conform run --help"),
        (["run", "--profile", "dense_core"], "got 'dense_core'; did you mean 'dense-core'?; see lrp-conform run --help"),
        (["runn"], "no command 'runn'; did you mean 'run'?; see lrp-conform --help"),
        (["report", "nowhere"], "nowhere: not the folder of a run"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(args: list[str], line: str, capsys: Printed) -> None:
    assert conform.main(args) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("lrp-conform: ")
    assert line in err


def test_a_name_is_guessed_whatever_its_letters() -> None:
    assert nearest("epsilonn", ["Epsilon", "Zero"]) == "did you mean 'Epsilon'?"
    assert nearest("alpha_beta", ["alpha-beta"]) == "did you mean 'alpha-beta'?"
    assert nearest("entirely different", ["Zero"]) == ""


def made(function: Any, **how: Any) -> Commands:
    """Commands with one command, called `act`."""
    module = ModuleType("made_for_a_test")
    module.act = command("act")(function)  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    return Commands("lrp-test", "Acts.", {"act": "made_for_a_test:act"}, extra="conformance", version=lambda: "1", **how)


def raising(error: BaseException) -> Commands:
    def act() -> None:
        """Act."""
        raise error

    return made(act)


def test_an_interrupt_is_one_line_and_status_130(capsys: Printed) -> None:
    assert run(raising(KeyboardInterrupt()), ["act"]) == 130
    assert capsys.readouterr().err.strip() == "lrp-test: interrupted; every file that was written is whole"


def test_an_error_of_the_reference_is_one_line(capsys: Printed) -> None:
    assert run(raising(lrp_ref.LRPError("x: expected\ntwo\x1b")), ["act"]) == 2
    assert capsys.readouterr().err == "lrp-test: x: expected two\\x1b\n"


@pytest.mark.parametrize("error", [ValueError("a defect"), ImportError("no name", name="lrp_ref.arrays"), RuntimeError("x")])
def test_a_defect_of_ours_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        run(raising(error), ["act"])


def test_the_status_is_what_the_command_returns() -> None:
    assert run(made(lambda: 7), ["act"]) == 7
    assert run(made(lambda: None), ["act"]) == 0


@pytest.mark.parametrize(
    ("args", "values"),
    [
        (["--mean", "1", "-2.5", "1e3"], (1, -2.5, 1000)),
        (["--mean", "1", "--mean", "2"], (1, 2)),
        (["--mean=1"], (1,)),
        ([], (0,)),
    ],
)
def test_an_option_takes_the_numbers_that_follow(args: list[str], values: tuple[float, ...]) -> None:
    found = []

    @option("--mean", cls=Several, type=float, default=[0.0], help="Numbers.")
    @option("--other", is_flag=True, help="Another.")
    def act(mean: tuple[float, ...], other: bool) -> None:
        """Act."""
        found.append((mean, other))

    assert run(made(act), ["act", *args, "--other"]) == 0
    assert found == [(values, True)]


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise on Windows")
@pytest.mark.parametrize(
    "code",
    ["from lrp_ref import cli; sys.exit(cli.main(['rules']))", "from lrp_conform import cli; sys.exit(cli.main(['list']))"],
)
def test_a_reader_may_leave_early(code: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", f"import sys; {code}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    with process.stderr as err:  # type: ignore[union-attr]
        assert (err.read(), process.wait(timeout=PATIENCE)) == (b"", 0)


# Without extras -------------------------------------------------------------------------------------------------------


@both
def test_help_needs_no_extra(name: str, module: ModuleType) -> None:
    asked = [["--help"], *([each, "--help"] for each in module.COMMANDS.table)]
    done = in_a_bare_installation(f"from {module.__name__} import main\nsys.exit(max(main(args) for args in {asked!r}))")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Usage: ") == len(asked)


@both
def test_the_version_needs_no_extra(name: str, module: ModuleType) -> None:
    done = in_a_bare_installation(f"from {module.__name__} import main\nsys.exit(main(['--version']))")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{name} {lrp_ref.__version__}")


@pytest.mark.parametrize("name", ["rules", "layers", "conventions", "dialects", "composites"])
def test_tables_need_no_extra(name: str) -> None:
    done = in_a_bare_installation(f"from lrp_ref.cli import main\nsys.exit(main([{name!r}]))")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") > 5


@pytest.mark.parametrize(
    "args",
    [
        ["run"],
        ["list"],
        ["candidates"],
        ["selftest"],
        ["smoke", "a.py"],
        ["rejudge", "a", "--out", "b"],
    ],
    ids=" ".join,
)
def test_a_command_says_which_extra_it_needs(args: list[str]) -> None:
    done = in_a_bare_installation(f"from lrp_conform.cli import main\nsys.exit(main({args!r}))")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"lrp-conform {args[0]} needs ")
    assert done.stderr.endswith('which is not installed: pip install "lrp-ref[conformance]"\n')


def test_explain_says_which_extra_it_needs(tmp_path: Path) -> None:
    for name in ("model.onnx", "x.npy"):
        (tmp_path / name).write_bytes(b"")
    args = ["explain", str(tmp_path / "model.onnx"), str(tmp_path / "x.npy")]
    done = in_a_bare_installation(f"from lrp_ref.cli import main\nsys.exit(main({args!r}))")
    told = 'lrp-ref explain needs onnx, which is not installed: pip install "lrp-ref[explain]"\n'
    assert (done.returncode, done.stderr) == (2, told)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("lrp.pictures.heatmap", 'pictures need matplotlib, which is not installed: pip install "lrp-ref[plot]"'),
        ("lrp.load_onnx('a.onnx')", 'load_onnx needs onnx, which is not installed: pip install "lrp-ref[onnx]"'),
    ],
)
def test_the_library_says_which_extra_it_needs_in_the_same_words(code: str, told: str) -> None:
    done = in_a_bare_installation(f"import lrp_ref as lrp\ntry: {code}\nexcept lrp.LRPError as error: print(error)")
    assert (done.stdout, done.stderr) == (f"{told}\n", "")


def test_what_is_missing_of_our_own_is_no_extra() -> None:
    with pytest.raises(ImportError, match="broken"):
        extras.needed(ImportError("broken", name="lrp_ref.onnx.read"), "onnx")


def test_extras_are_read_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        "numpy>=2",
        'b>=1 ; extra == "one"',
        'me[one] ; extra == "two"',
        "c; extra == 'two'",
        'lrp-ref[one,three]; extra=="x"',
    ]
    monkeypatch.setattr(
        extras, "requires", lambda name: [*rows, 'lrp-ref[one]; extra == "all"', 'python-flint; extra == "all"']
    )
    assert extras.install("b.inner", "all") == 'b, which is not installed: pip install "lrp-ref[all]"'
    assert extras.install("b", "two") == 'b, which is not installed: pip install "lrp-ref[one]"'
    assert extras.install("flint", "one") == 'python-flint, which is not installed: pip install "lrp-ref[all]"'
    assert extras.install("torch", "one") == "torch, which is not installed: pip install torch"
    assert extras.install("lrp_conform.x", "one") is None


def test_every_command_is_loaded_alone() -> None:
    for _, module in BOTH:
        for place in module.COMMANDS.table.values():
            home, _, name = place.partition(":")
            assert isinstance(getattr(import_module(home), name), click.Command)
    code = (
        "import sys\nfrom lrp_conform.cli import main\nmain(['--help'])\nprint('numpy' in sys.modules, 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False False\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["-m", "lrp_ref", "rules"], ["-m", "lrp_conform", "list"]])
def test_an_output_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run([sys.executable, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.endswith("its output cannot be written: No space left on device; print to a place with room\n")
    assert len(run.stderr.splitlines()) == 1


def test_a_command_without_an_output_is_no_crash() -> None:
    run = subprocess.run(f"{sys.executable} -m lrp_ref rules >&-", shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in run.stderr
