"""chatd web-client"""

from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Annotated

import typer

from chatd.cli.common import failures
from chatd.cli.printing import out, styled

PACKAGE = Path(__file__).parents[1] / "web/static"
# The demo page uses the client, and is no part of it.
LEFT_OUT = ignore_patterns("demo")


def web_client(
    folder: Annotated[Path, typer.Argument(help="The folder of the package; older files in it are replaced.")] = Path(
        "chatd-client"
    ),
) -> None:
    """Write the JavaScript client to a folder, as a package without dependencies. See docs/web-client.md.

    [bold]Examples[/]

      chatd web-client && npm install ./chatd-client

      chatd web-client public/chatd-client
    """
    with failures():
        copytree(PACKAGE, folder, ignore=LEFT_OUT, dirs_exist_ok=True)
    out.print(styled(f"wrote {folder}"))
