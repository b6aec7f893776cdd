"""chatd schema"""

from pathlib import Path
from typing import Annotated

import typer

from chatd import __version__
from chatd.app.documents import sections, with_sections
from chatd.cli.common import AsJson, failures, print_json
from chatd.cli.printing import out, say, styled
from chatd.subsystems import SUBSYSTEMS, load_registry
from chatd.wire.reference.files import generated
from chatd.wire.reference.json_schema import json_schema
from chatd.wire.reference.markdown import reference
from chatd.wire.reference.python_types import python_types
from chatd.wire.reference.typescript import client_routes


def schema(
    json: AsJson = False,
    write: Annotated[
        Path | None,
        typer.Option(help="Write all generated files to this folder, and update the tables in the documents there."),
    ] = None,
    client: Annotated[Path | None, typer.Option(help="Write the types of the Python client to this file.")] = None,
    web: Annotated[Path | None, typer.Option(help="Write the routes of the JavaScript client to this file.")] = None,
) -> None:
    """Print the protocol reference, generated from the code.

    [bold]Examples[/]

      chatd schema | less

      chatd schema --json > chatd.schema.json

      chatd schema --write docs
    """
    description = load_registry().description
    if write is not None:
        for name, text in {**generated(description, __version__), **renewed(write)}.items():
            with failures():
                (write / name).write_text(text, encoding="utf8")
            out.print(styled(f"wrote {write / name}"))
    for path, types in ((client, python_types), (web, client_routes)):
        if path is not None:
            with failures():
                path.write_text(types(description), encoding="utf8")
            out.print(styled(f"wrote {path}"))
    if write is not None or client is not None or web is not None:
        return
    if json:
        print_json(json_schema(description))
    else:
        say(reference(description), end="")


def renewed(folder: Path) -> dict[str, str]:
    """The documents in this folder that have generated tables, with the tables replaced."""
    return {
        name: with_sections((folder / name).read_text(encoding="utf8"), tables)
        for name, tables in sections(SUBSYSTEMS).items()
        if (folder / name).is_file()
    }
