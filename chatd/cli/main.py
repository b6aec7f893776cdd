"""The `chatd` command. Each subcommand has a file, which is imported only when that subcommand runs.

Importing all of them takes two seconds, mostly for modules that only the daemon needs.
"""

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from chatd import __version__
from chatd.cli.printing import complain, say
from chatd.cli.streams import flush_output, guard_streams

# Name of the command: its module and attribute. An `app` is a group of commands.
COMMANDS = {
    "serve": "serve:serve",
    "index": "index:index",
    "init": "init:init",
    "check": "check:check",
    "migrate": "migrate:migrate",
    "restored": "restored:restored",
    "schema": "schema:schema",
    "web-client": "web_client:web_client",
    "chat": "chat:chat",
    "drain": "maintenance:drain",
    "nodes": "nodes:nodes",
    "top": "top:top",
    "trace": "trace:trace",
    "bench": "bench:app",
    "doctor": "doctor:doctor",
    "users": "users:app",
    "tokens": "tokens:app",
    "bots": "bots:app",
    "import": "import_file:import_file",
    "sessions": "sessions:app",
    "match": "match:app",
    "bans": "bans:app",
    "reports": "reports:app",
    "webhooks": "webhooks:app",
    "admins": "admins:app",
    "analytics": "analytics:analytics",
    "maintenance": "maintenance:app",
    "secret": "secret:app",
}
WRONG_USE = 2
RICH: Any = {"rich_markup_mode": "rich", "pretty_exceptions_enable": False}


class Commands(TyperGroup):
    """Imports a subcommand when it is used; `--help` imports all of them."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        # Click suggests similar names from these keys.
        self.commands: Any = dict.fromkeys(COMMANDS)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return load(cmd_name) if cmd_name in COMMANDS else None


def load(name: str) -> Any:
    """The command with this name."""
    module, _, attribute = COMMANDS[name].partition(":")
    found = getattr(import_module(f"chatd.cli.{module}"), attribute)
    wrapper = typer.Typer(**RICH)
    if isinstance(found, typer.Typer):
        wrapper.add_typer(found, name=name)
    else:
        wrapper.command(name)(found)
    return get_group(wrapper).commands[name]


app = typer.Typer(
    name="chatd",
    cls=Commands,
    help="A self-hosted chat backend in one daemon. Run `chatd serve`, then `chatd chat --as alice` in "
    "another terminal.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **RICH,
)


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True)) -> None:
    """A self-hosted chat backend in one daemon. Run `chatd serve`, then `chatd chat --as alice` in another terminal."""
    if show:
        say(f"chatd {__version__}")
        raise typer.Exit


def main() -> None:
    """The entry point."""
    guard_streams()
    if any(not is_unicode(argument) for argument in sys.argv):
        complain("an argument is not valid UTF-8")
        raise SystemExit(WRONG_USE)
    try:
        app()
    finally:
        flush_output()


def is_unicode(argument: str) -> bool:
    """Whether an argument is valid Unicode. Python decodes other bytes to lone surrogates, which cannot be stored."""
    return not any("\ud800" <= sign <= "\udfff" for sign in argument)
