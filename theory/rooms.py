"""The commands of a package: its rooms that have a ``__main__``, listed, called and completed by name.

Nothing here names a command or imports one before it is called, so that ``theory`` can list its own commands and
``empirical`` those of both.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from theory.checks import ParameterError, nearest
from theory.command import Parser, output, run, sentence

SHELLS = ("bash", "zsh", "tcsh")


class Room(NamedTuple):
    """A command: its name, the module whose ``__main__`` it is, and what it does in one sentence."""

    name: str
    module: str
    sentence: str

    def load(self) -> Any:
        """The command's module, with ``main(argv, prog)`` and ``parser(prog)``."""
        return importlib.import_module(f"{self.module}.__main__")


def rooms(package: str, folder: Path) -> list[Room]:
    """The commands of the package that lies in ``folder``, by name."""
    found = []
    for file in sorted(folder.glob("*/__main__.py")):
        name = file.parent.name
        doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        found.append(Room(name, f"{package}.{name}", sentence(doc)))
    return found


def dispatch(prog: str, doc: str | None, found: Sequence[Room], argv: Sequence[str] | None) -> int:
    """Run the command that the first argument names on the others; without one, list the commands."""
    argv = sys.argv[1:] if argv is None else list(argv)
    by_name = {room.name: room for room in found}
    if argv and argv[0] in by_name:
        return int(by_name[argv[0]].load().main(argv[1:], f"{prog} {argv[0]}"))
    parser = _parser(prog, doc, found)

    def command(args: argparse.Namespace) -> None:
        if args.print_completion is not None:
            print(completion(parser, found, args.print_completion))
        elif args.command is None:
            parser.print_help()
        else:
            raise ParameterError(f"there is no command {args.command}" + nearest(args.command, by_name))

    named = argv[:1] if argv and not argv[0].startswith("-") else argv  # its options are not this parser's
    return run(parser, command, named)


def _parser(prog: str, doc: str | None, found: Sequence[Room]) -> Parser:
    parser = Parser(prog, doc, "COMMAND ...")
    width = max(len(room.name) for room in found)
    listed = [f"  {room.name:<{width}}  {room.sentence}" for room in found]
    parser.epilog = "\n".join(["commands:", *listed, "", f"{prog} COMMAND --help tells a command's options."])
    parser.add_argument("command", nargs="?", metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument(
        "--print-completion", choices=SHELLS, metavar="SHELL", help=f"print a completion script for {', '.join(SHELLS)}"
    )
    return parser


def completion(parser: Parser, found: Sequence[Room], shell: str) -> str:
    """A script with which a shell completes commands, options, values and files.

    Raises
    ------
    ParameterError
        If shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise ParameterError("--print-completion needs shtab: pip install 'difficult-examples[completion]'") from error
    parsers = {f"{parser.prog} {room.name}": room.load().parser(f"{parser.prog} {room.name}") for room in found}
    whole: Any = argparse.ArgumentParser(parser.prog)
    for action in parser._actions:
        if action.option_strings and action.dest != "help":
            whole._add_action(action)
    commands = whole.add_subparsers(prog=parser.prog, parser_class=lambda prog, **_: parsers[prog])
    for room in found:
        commands.add_parser(room.name, help=room.sentence)
    for action in (action for one in parsers.values() for action in one._actions):
        if action.metavar == "FOLDER":
            action.complete = shtab.DIRECTORY
        elif action.type in (Path, output) or action.metavar == "FILE":
            action.complete = shtab.FILE
    return str(shtab.complete(whole, shell))
