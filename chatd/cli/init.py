"""chatd init"""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from chatd.cli.common import FAILED, err, failures, out
from chatd.template import template


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("chatd.toml"),
) -> None:
    """Write a chatd.toml with every setting, explained, and a fresh secret. An existing file is left alone.

    [bold]Examples[/]

      chatd init

      chatd init /etc/chatd.toml
    """
    text = template({"auth.secret": secrets.token_urlsafe(48)})
    with failures():
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            err.print(f"[red]{path} is there already[/] and was not touched. Move it away, or name another file.")
            raise typer.Exit(FAILED) from None
        with os.fdopen(descriptor, "w", encoding="utf8") as file:
            file.write(text)
    out.print(f"{path} written, readable by you only. Next: [bold]chatd check[/], then [bold]chatd serve[/].")
