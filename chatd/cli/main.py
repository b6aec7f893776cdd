"""The `chatd` command. One file per command; this one only lists them."""

import typer

from chatd import __version__
from chatd.cli import (
    bans,
    chat,
    check,
    doctor,
    init,
    maintenance,
    match,
    migrate,
    nodes,
    reports,
    schema,
    serve,
    sessions,
    strikes,
    top,
    trace,
    users,
)

app = typer.Typer(
    name="chatd",
    help="A self-hosted chat backend in one daemon. Begin with `chatd serve`, then `chatd chat --as alice` in another terminal.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
users.app.command()(strikes.strike)
users.app.command("strikes")(strikes.list_strikes)
users.app.command()(strikes.shadow)
users.app.command()(strikes.unshadow)
app.command()(serve.serve)
app.command()(init.init)
app.command()(check.check)
app.command()(migrate.migrate)
app.command()(schema.schema)
app.command()(chat.chat)
app.command()(maintenance.drain)
app.command()(nodes.nodes)
app.command()(top.top)
app.command()(trace.trace)
app.command()(doctor.doctor)
app.add_typer(users.app, name="users")
app.add_typer(sessions.app, name="sessions")
app.add_typer(match.app, name="match")
app.add_typer(bans.app, name="bans")
app.add_typer(reports.app, name="reports")
app.add_typer(maintenance.app, name="maintenance")


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True)) -> None:
    """A self-hosted chat backend in one daemon. Begin with `chatd serve`, then `chatd chat --as alice` in another terminal."""
    if show:
        print(f"chatd {__version__}")
        raise typer.Exit


def main() -> None:
    """The entry point."""
    app()
