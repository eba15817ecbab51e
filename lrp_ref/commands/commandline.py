"""What both commands share: commands that are loaded when they are called, and every mistake told in one line."""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from lrp_ref.text.nearest import nearest
from lrp_ref.text.printable import printable

USAGE = 2
UNWRITABLE = (errno.ENOSPC, errno.EIO, errno.EBADF)  # a full disk behind the standard output, or none at all
INTERRUPTED = 130
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}


def fail(message: str) -> NoReturn:
    """One line on standard error and exit status 2."""
    raise click.ClickException(message)


class OneOf(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """One of some names, which are asked for when they are needed."""

    name = "name"

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self.names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        known = list(self.names())
        if value not in known:
            hint = nearest(str(value), known)
            self.fail(f"expected one of {', '.join(known)}; got {value!r}{hint and f'; {hint}'}", param, ctx)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]

    def choices(self) -> str:
        """The names, for a help text; empty where they need what is not installed."""
        try:
            return f"One of {', '.join(self.names())}."
        except ImportError:
            return ""


class Option(click.Option):
    """An option that names its choices, and stands under a heading of its own where it has one."""

    def __init__(self, *args: Any, section: str = "Options", **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.section = section

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not isinstance(self.type, OneOf):
            return record
        text, bracket, rest = record[1].partition("[default")
        return record[0], f"{text.strip()} {self.type.choices()} {bracket}{rest}".strip()


class Several(Option):
    """An option that takes all numbers that follow it: --mean 0.4 0.5 0.6."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, multiple=True, **rest)


class Argument(click.Argument):
    """An argument that says what it is."""

    def __init__(self, *args: Any, about: str, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.about = about


class Command(click.Command):
    """A command whose help lists its arguments too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = {name for p in self.params if isinstance(p, Several) for name in p.opts}
        return super().parse_args(ctx, _repeated(args, names))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, Argument):
                names = param.type.choices() if isinstance(param.type, OneOf) else ""
                sections.setdefault("Arguments", []).append((param.make_metavar(ctx), f"{param.about} {names}".strip()))
            elif (record := param.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(param, "section", "Options"), []).append(record)
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)


def command(name: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """A function as a command."""
    return click.command(name, cls=Command, context_settings=SETTINGS)


def option(*names: str, cls: type[Option] = Option, **rest: Any) -> Callable[[Any], Any]:
    """An option of a command."""
    return click.option(*names, cls=cls, **rest)


def switch(name: str, **rest: Any) -> Callable[[Any], Any]:
    """An option that is on or off, off if nothing is said: --strict, --no-strict."""
    return option(f"--{name}/--no-{name}", **({"default": False, "show_default": False} | rest))


def argument(name: str, **rest: Any) -> Callable[[Any], Any]:
    """An argument of a command, with `about`."""
    return click.argument(name, cls=Argument, **rest)


class Commands(click.Group):
    """Commands by name, as "module:object": a module is loaded when its command is called, or listed.

    extra: what of lrp-ref most likely brings a package that is missing. version: what --version prints.
    """

    def __init__(self, name: str, about: str, table: Mapping[str, str], extra: str, version: Callable[[], str]) -> None:
        super().__init__(name, help=about, no_args_is_help=True, context_settings=SETTINGS)
        self.table, self.extra = table, extra

        def tell(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
            if asked and not ctx.resilient_parsing:
                print(version())
                ctx.exit()

        told = "Print the version and exit."
        self.params.append(
            click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=tell, help=told)
        )

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, _, name = self.table[cmd_name].partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = {name: self.get_command(ctx, name) for name in self.table}
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=500)) for name, one in found.items() if one is not None])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            status = super().invoke(ctx)
            if sys.stdout is not None:  # closed by the caller
                sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            _told(self, "interrupted; every file that was written is whole")
            return INTERRUPTED
        except BrokenPipeError:  # the reader, such as head, has seen enough
            _silence()
            return 0
        except OSError as error:
            if error.errno not in UNWRITABLE or error.filename is not None:
                raise
            _silence()
            return _told(self, f"its output cannot be written: {error.strerror}; print to a place with room")

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.table and not ctx.resilient_parsing and not args[0].startswith("-"):
            hint = nearest(args[0], self.table) or f"the commands are {', '.join(self.table)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


def run(commands: Commands, arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: the command's own, 2 for a mistake, 130 for an interrupt."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = commands.main(given, prog_name=commands.name, standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return USAGE
    except click.ClickException as error:
        return _told(commands, _line(error))
    except ImportError as error:
        from lrp_ref.text.extras import needed

        missing = needed(error, commands.extra)
        asked = next((arg for arg in given if arg in commands.table), " ".join(given))
        print(f"{commands.name} {asked} needs {printable(missing)}", file=sys.stderr)
        return USAGE
    except ValueError as error:
        from lrp_ref.arrays import LRPError  # which loads NumPy

        if not isinstance(error, LRPError):
            raise
        return _told(commands, str(error))


def _silence() -> None:
    """Else Python would complain again, of what it still holds, when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(commands: Commands, message: str) -> int:
    print(f"{commands.name}: {printable(' '.join(message.split()))}", file=sys.stderr)
    return USAGE


def _line(error: click.ClickException) -> str:
    """What was wrong; of what was typed, with the place to look it up."""
    message = error.format_message().rstrip(".")
    if isinstance(error, click.MissingParameter):
        message = f"missing {_name(error)}"
    elif isinstance(error, click.BadParameter) and error.param is not None:
        message = f"{_name(error)}: {error.message.rstrip('.')}"
    elif isinstance(error, click.NoSuchOption):
        known = [name for p in error.ctx.command.params for name in (*p.opts, *p.secondary_opts)] if error.ctx else []
        hint = nearest(error.option_name, [name for name in known if name.startswith("--")])
        message = f"no option {error.option_name}{hint and f'; {hint}'}"
    if not isinstance(error, click.UsageError):
        return message
    path = error.ctx.command_path if error.ctx is not None else ""
    return f"{message}; see {f'{path} ' if path else ''}--help"


def _name(error: click.BadParameter) -> str:
    """The parameter: --out, or FOLDER."""
    param = error.param
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return "" if param is None else (param.metavar or (param.name or "").upper()).rstrip(".")


def _repeated(args: list[str], names: Iterable[str]) -> list[str]:
    """`--mean 1 2` as `--mean 1 --mean 2`."""
    made: list[str] = []
    name, first = "", False
    for k, arg in enumerate(args):
        if arg == "--":
            return made + args[k:]
        if arg in names:
            name, first = arg, True
            made.append(arg)
        elif name and (first or _is_number(arg)):
            made += [arg] if first else [name, arg]
            first = False
        else:
            name = ""
            made.append(arg)
    return made


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
