"""chatd init"""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from chatd.cli.common import exit_failed, failures
from chatd.cli.printing import out, styled
from chatd.core.template import template
from chatd.subsystems import setting_names

USUAL = Path("chatd.toml")


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = USUAL,
) -> None:
    """Write a commented chatd.toml with all settings and fresh secrets. An existing file is not overwritten.

    [bold]Examples[/]

      chatd init

      chatd init /etc/chatd.toml
    """
    text = template(setting_names(), {name: secrets.token_urlsafe(48) for name in ("auth.secret", "data.secret")})
    with failures():
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise exit_failed(
                f"{path} already exists and was not changed. Move it away, or name another file."
            ) from None
        with os.fdopen(descriptor, "w", encoding="utf8") as file:
            file.write(text)
    check, serve = (f"chatd {name}" + ("" if path == USUAL else f" --config {path}") for name in ("check", "serve"))
    out.print(styled(f"{path} written, readable by you only. Next: ", (check, "bold"), ", then ", (serve, "bold"), "."))
