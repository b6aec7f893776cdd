"""The examples of docs/web-client.md do what they say."""

import re
import subprocess
from pathlib import Path

import trio

from chatd.cli.web_client import web_client
from tests.interop.tools import tool
from tests.support import PATIENCE, Daemon
from tests.web.programs import ROOT, SOURCES, packages

TEXT = (ROOT / "docs/web-client.md").read_text()
BLOCKS = re.findall(r"```(js|jsx)\n(.*?)```", TEXT, re.DOTALL)


def project(folder: Path) -> Path:
    """A folder in which the packages of the examples are found."""
    modules = folder / "node_modules"
    web_client(modules / "@chatd/client")
    for name in ("ws", "react", "react-dom"):
        (modules / name).symlink_to(packages() / name)
    return folder


async def test_the_first_example(daemon: Daemon, tmp_path: Path) -> None:
    """With the addition for Node 20."""
    example = BLOCKS[0][1].replace("http://127.0.0.1:8081", daemon.addresses.http)
    example = example.replace("token: account.token }", "token: account.token, WebSocket }")
    async with daemon.person("Bob") as bob:
        script = project(tmp_path) / "example.mjs"
        script.write_text(f'import {{ WebSocket }} from "ws";\nconst BOB = "{bob.user}";\n{example}')
        process = await trio.lowlevel.open_process([tool("node", "nodejs"), str(script)], stdout=subprocess.PIPE)
        try:
            new = await bob.event("message.new", 3 * PATIENCE)
            assert new["message"]["text"] == "hello"
            await bob.call("receipt.read", conversation=new["conversation"], seq=1)
            shown = b""
            with trio.fail_after(3 * PATIENCE):
                while b"hello read" not in shown:
                    shown += await process.stdout.receive_some()
        finally:
            process.kill()
            await process.wait()
    lines = shown.decode().splitlines()
    assert {"live", "[ 'hello sent' ]"} <= set(lines)
    assert "[ 'Bob: 0 unread' ]" in lines


def test_all_examples_can_be_compiled(tmp_path: Path) -> None:
    """Names that the text explains, and what is left out, are the reader's."""
    assert len(BLOCKS) > 6
    folder = project(tmp_path)
    for number, (kind, code) in enumerate(BLOCKS):
        source = folder / f"example-{number}.{kind}"
        source.write_text(code.replace("=> ...", "=> {}"))
        esbuild = [str(SOURCES / "node_modules/.bin/esbuild"), str(source), "--bundle", "--jsx=automatic"]
        outside = [f"--external:{name}" for name in ("@react-native*", "react-native", "ws")]
        done = subprocess.run(
            [*esbuild, "--format=esm", f"--outdir={folder / 'out'}", *outside],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr.lower(), done.stderr
