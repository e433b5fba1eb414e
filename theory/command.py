"""What every command shares: its options and help, and one-line errors with exit code 2."""

from __future__ import annotations

import argparse
import glob
import os
import re
import sys
import textwrap
import warnings
from argparse import Action, ArgumentError, Namespace
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, NoReturn

from theory.checks import LARGEST, ParameterError, is_finite, nearest, shortened, without_middle
from theory.files import inputs, require_writable
from theory.locks import LOCK
from theory.memory import available, in_words
from theory.streams import finish, one_line, say, tolerant

DISTRIBUTION = "difficult-examples"


def output(text: str) -> Path:
    """The type of an option that names what the command writes: a file, a folder, or the start of files' names."""
    return Path(text)


LARGEST_INTEGER = 2**63  # seeds reach it
STEM = "STEM"  # metavar of the start of two files' names: STEM.csv and STEM.json
METAVARS: dict[Callable[[str], Any], str] = {int: "N", float: "X", Path: "FILE", output: "FILE"}
KINDS = {
    "int": "an integer",
    "float": "a number",
    "Path": "a file name",
    "output": "a file name",
    "fraction": "a fraction such as 1/3",
}
SIGPIPE = 13  # where there is no such signal either
NO_MEMORY = re.compile(  # in the messages of PyTorch's errors
    r"can't allocate memory|not enough memory|out of memory|bad_alloc|Invalid buffer size"
    r"|Storage size calculation overflowed|numel: integer multiplication overflow"
)
NEGATIVE = re.compile(r"-(\d|\.\d|inf|nan)")  # such as -1e-3, which argparse takes for an option


class Parser(argparse.ArgumentParser):
    """An ArgumentParser with grouped options, examples, ``--version``, and errors of one line.

    Parameters
    ----------
    prog : str, optional
        The command as it was called, such as ``python -m theory.bounds``.
    doc : str, optional
        Docstring of the command's module, whose first sentence becomes the description.
    usage : str, optional
        What the command needs, after its name.
    examples : sequence of str
        Arguments of calls that work.
    """

    def __init__(
        self,
        prog: str | None = None,
        doc: str | None = None,
        usage: str | None = None,
        examples: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("description", sentence(doc or "") or None)
        super().__init__(prog, allow_abbrev=False, formatter_class=_Help, exit_on_error=False, **kwargs)
        self._negative_number_matcher = NEGATIVE
        if usage is not None:
            self.usage = "\n".join(textwrap.wrap(f"{self.prog} {usage}", 72, subsequent_indent=" " * 7))
        self.examples = tuple(examples)
        if examples:
            self.epilog = "\n".join(["examples:", *(_shell(self.prog, example) for example in examples)])
        self.add_argument("--version", action=_Version, help="print the version and exit")

    def group(self, title: str) -> argparse._ArgumentGroup:
        """The group of options with this title."""
        return next((g for g in self._action_groups if g.title == title), None) or self.add_argument_group(title)

    def label(self, dest: str) -> str:
        """What errors call the option, or the argument without one, that is parsed to ``dest``."""
        return next(_name(action) for action in self._actions if action.dest == dest)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Namespace:  # type: ignore[override]
        """Parse arguments; ParameterError, naming the option, the value and what is accepted, if they are wrong."""
        given = sys.argv[1:] if args is None else list(args)
        if self._subparsers is None:  # whose options are not this parser's
            self._require_known_options(given)
        try:
            found: Namespace
            found, extra = self.parse_known_args(given, namespace)
        except ArgumentError as error:
            raise ParameterError(f"{error.argument_name}: {error.message}") from None
        if extra:
            raise ParameterError(f"unexpected argument {extra[0]}")
        return found

    def paths(self, args: Namespace) -> tuple[dict[str, Path], dict[str, Path]]:
        """What parsed arguments name: files and folders that the command writes, and what there is that it reads.

        Keys are the option and the path, as errors call them. Any text that names a file, also after a colon
        (``npz:FILE``) or as a pattern, counts as read, and so does a folder that is given as a path or after a colon.
        """
        written: dict[str, Path] = {}
        read: dict[str, Path] = {}
        for action in self._actions:
            value = getattr(args, action.dest, None)
            for one in value if isinstance(value, list) else [value]:
                if action.type is output:
                    if one is not None and action.metavar != STEM:  # whose files are checked when they are written
                        written[f"{_name(action)} {one}"] = Path(one)
                elif isinstance(one, str | Path) and action.choices is None:
                    names = [f"{one}.csv", f"{one}.json"] if action.metavar == STEM else _read(one)
                    read |= {f"{_name(action)} {name}": Path(name) for name in names if os.path.exists(name)}
        return written, read

    def require_outputs(self, args: Namespace) -> None:
        """Refuse a file or folder that could not be written, before anything is done."""
        for action in self._actions:
            path = getattr(args, action.dest, None)
            if action.type is output and path is not None and action.metavar in (None, "FILE", "FOLDER"):
                require_writable(path / LOCK if action.metavar == "FOLDER" else path)

    def error(self, message: str) -> NoReturn:
        if alternatives := re.fullmatch(r"one of the arguments (.+) is required", message):
            raise ParameterError(f"{alternatives[1].replace(' ', ' or ')} is required")
        _, _, missing = message.partition("arguments are required: ")
        for action in self._actions:
            name = _name(action)
            if missing.split(", ")[0] == name:
                raise ParameterError(f"{name} is required: {self._explained(action)}")
        raise ParameterError(message)

    def _explained(self, action: Action) -> str:
        return self._get_formatter()._expand_help(action)

    def _require_known_options(self, given: Sequence[str]) -> None:
        """Before anything else is checked: a misspelt option also leaves the right one missing."""
        for text in given:
            name = text.partition("=")[0]
            if text == "--":
                return
            option = text.startswith("-") and len(text) > 1 and " " not in text and not NEGATIVE.match(text)
            if option and name not in self._option_string_actions:
                raise ParameterError(f"there is no option {name}" + nearest(name, self._option_string_actions))

    def _get_value(self, action: Action, arg_string: str) -> Any:
        kind = getattr(action.type, "__name__", "")
        try:
            value = super()._get_value(action, arg_string)
        except ArgumentError:
            raise ParameterError(f"{_name(action)} {shortened(arg_string)}: not {KINDS.get(kind, kind)}") from None
        if condition := _violated(action, arg_string, value):
            raise ParameterError(action.dest, arg_string, condition)
        return value

    def _check_value(self, action: Action, value: Any) -> None:
        if action.choices is None or value in action.choices or value is action.default:
            return
        names = [str(choice) for choice in action.choices]
        raise ParameterError(f"{_name(action)} {value}: not one of {', '.join(names)}" + nearest(str(value), names))

    def _match_argument(self, action: Action, arg_strings_pattern: str) -> int:
        try:
            return super()._match_argument(action, arg_strings_pattern)
        except ArgumentError:
            raise ParameterError(f"{_name(action)} needs a value: {self._explained(action)}") from None


class _Help(argparse.HelpFormatter):
    """Short names for values, defaults in parentheses, and a text with indented lines as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n " in text else super()._fill_text(text, width, indent)

    def _get_default_metavar_for_optional(self, action: Action) -> str:
        return next((name for kind, name in METAVARS.items() if action.type is kind), "NAME")

    def _metavar_formatter(self, action: Action, default_metavar: str) -> Any:
        named = action.metavar or default_metavar  # not {all,the,choices}, which the help tells
        return lambda size: named if isinstance(named, tuple) else (named,) * size

    def _get_help_string(self, action: Action) -> str | None:
        default = action.default
        hidden = default is None or default is False or default in ("", [], argparse.SUPPRESS)
        hidden = hidden or isinstance(default, Path)  # absolute, which the help says better
        return action.help if hidden else f"{action.help} (%(default)s)"


class _Version(Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version  # slow, and for this alone

        try:
            print(DISTRIBUTION, version(DISTRIBUTION))
        except PackageNotFoundError as error:
            raise ParameterError(f"{DISTRIBUTION} is not installed: its version is in pyproject.toml") from error
        parser.exit()


def _violated(action: Action, text: str, value: Any) -> str:
    """What a value violates whatever its option means; empty if nothing."""
    if "\0" in text:
        return "text without signs of code 0"
    if action.type in (Path, output):
        return "" if text else "a name that is not empty"
    if isinstance(value, int):
        return "" if abs(value) < LARGEST_INTEGER else f"an integer below {LARGEST_INTEGER:g} in magnitude"
    if isinstance(value, Real):
        if not is_finite(value):
            return "a finite number"
        return "" if abs(float(value)) <= LARGEST else f"a magnitude of at most {LARGEST:g}"
    return ""


def _read(value: str | Path) -> list[str]:
    """Files and folders that an argument may name."""
    text = str(value)
    names = [text] if isinstance(value, Path) or os.path.isfile(text) else []
    if text.partition(":")[2]:
        names.append(text.partition(":")[2])
    return names + (glob.glob(text, recursive=True) if re.search(r"[*?[]", text) else [])


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # which whoever opens it is told
        return False


def _require_apart(written: Mapping[str, Path], read: Mapping[str, Path]) -> None:
    """Refuse an output that is an input or another output; what a folder will hold is checked when it is written."""
    places = {name: os.path.realpath(path) for name, path in written.items()}
    for name, path in written.items():
        for other, source in read.items():
            if places[name] == os.path.realpath(source) or _same(path, source):
                raise ParameterError(f"{name}: it is an input of this command ({other})")
        for other, place in places.items():
            if other != name and place == places[name]:
                raise ParameterError(f"{name}: it is another output of this command ({other})")


def sentence(doc: str) -> str:
    """The first sentence of a module's docstring, without the command that runs it."""
    return re.sub(r": ``python -m [^`]+``", "", doc.strip().partition("\n\n")[0]).replace("\n", " ")


def _name(action: Action) -> str:
    """How errors call an option, or an argument without one."""
    return str(action.option_strings[-1] if action.option_strings else action.metavar or action.dest)


def _shell(prog: str, arguments: str) -> str:
    """A call as one types it, on as many lines as 80 columns need."""
    whole = re.sub(r" (?!--)", "\0", arguments)  # an option stays with its values
    lines = textwrap.wrap(f"{prog} {whole}", 72, break_long_words=False, break_on_hyphens=False)
    return "  " + " \\\n      ".join(lines).replace("\0", " ")


def run(
    parser: Parser,
    command: Callable[[Namespace], None],
    argv: Sequence[str] | None,
    resumable: bool = False,
) -> int:
    """Run a command on parsed arguments.

    A warning is one line on stderr, and so is whatever ends the command: bad input, a file that cannot be read or
    written and memory that does not suffice with exit code 2, Ctrl-C with 130. Where the reader of the output, such as
    ``head``, has seen enough, a command that has more to say ends with 141, as SIGPIPE would. What the arguments name
    as read is not written, whatever its name.
    """
    formatted, warnings.formatwarning = warnings.formatwarning, _one_line
    with tolerant():
        try:
            return _ended(parser, command, argv)
        except KeyboardInterrupt:
            say("interrupted" + "; the same command goes on from here" * resumable)
            return 130
        finally:
            finish()
            warnings.formatwarning = formatted


def _ended(parser: Parser, command: Callable[[Namespace], None], argv: Sequence[str] | None) -> int:
    """Run a command; its exit code."""
    try:
        args = parser.parse_args(argv)
        written, read = parser.paths(args)
        _require_apart(written, read)
        parser.require_outputs(args)
        with inputs(read):
            command(args)
        unwritten = finish()
        if unwritten is not None and not isinstance(unwritten, BrokenPipeError):
            return _refused(f"cannot print: {unwritten.strerror}")
        return 0
    except ParameterError as error:
        return _refused(str(error))
    except BrokenPipeError:
        return 128 + SIGPIPE
    except OSError as error:  # of a file at which nobody looked before
        place = "cannot print: " if finish() is not None else _place(error)
        return _refused(f"{place}{error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or NO_MEMORY.search(str(error))):
            raise
        return _refused(_no_memory(error))


def _refused(reason: str) -> int:
    say(f"error: {without_middle(one_line(reason))}")
    return 2


def _place(error: OSError) -> str:
    named = [str(name) for name in (error.filename, error.filename2) if isinstance(name, str | os.PathLike)]
    return f"{' and '.join(named)}: " if named else ""


def _no_memory(error: BaseException) -> str:
    """What to say where memory did not suffice."""
    reason = (str(error).splitlines() or [""])[0]
    there = available()
    left = "" if there is None else f", {in_words(there)} are available"
    return "not enough memory" + (f" ({reason})" if reason else "") + left


def _one_line(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"warning: {one_line(str(message))}\n"


def add_workers(parser: Parser) -> None:
    """The options ``--jobs`` and ``--scheduler``, see ``theory.workers.workers``."""
    where = parser.group("workers").add_mutually_exclusive_group()
    jobs = "single-threaded worker processes, >= 1 (1: this process with all threads)"
    where.add_argument("--jobs", type=int, metavar="N", help=jobs)
    cluster = "a Dask cluster instead: local:N starts one of N workers, an address or a file of a scheduler uses it"
    where.add_argument("--scheduler", metavar="local:N|ADDRESS|FILE", help=cluster)


def chosen_workers(args: argparse.Namespace) -> dict[str, Any]:
    """What was given for ``add_workers``, as arguments of ``theory.workers.workers``."""
    return {"jobs": 1 if args.jobs is None else args.jobs, "scheduler": args.scheduler}


def format_number(value: Any, pattern: str) -> str:
    """A number as text, a dash where there is none."""
    return "—" if value is None else format(float(value), pattern)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows))
