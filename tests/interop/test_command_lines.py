"""Command line programs that speak WebSocket, used as docs/protocol.md describes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import trio

from tests.interop.tools import tool
from tests.support import PATIENCE, Daemon

PING = '[7,{"t":"ping","ts":5}]'

NODE = """
const WebSocket = require("ws");
const socket = new WebSocket(process.argv[2], "chatd.v1.json", { headers: { Authorization: "Bearer " + process.argv[3] } });
socket.on("message", (data) => {
  const [id, body] = JSON.parse(data);
  console.log(JSON.stringify(body));
  if (body.t === "connected") socket.send(JSON.stringify([1, { t: "conversation.open", user: process.argv[4] }]));
  if (body.t === "conversation")
    socket.send(JSON.stringify([2, {
      t: "message.send", conversation: body.conversation.id, client_id: "1", text: "héllo" }]));
  if (body.t === "message.ack") socket.close(1000);
});
socket.on("close", (code) => console.log("closed", code));
"""


async def run(command: list[str], typed: str, until: str) -> str:
    """The output until it contains `until`. A line is typed after the first event of the server."""
    environment = os.environ | {"NODE_PATH": "/usr/share/nodejs"}
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    shown = ""
    try:
        with trio.move_on_after(3 * PATIENCE):
            async for part in process.stdout:
                shown += part.decode(errors="replace")
                if typed and '"connected"' in shown:
                    await process.stdin.send_all(typed.encode() + b"\n")
                    typed = ""
                if until in shown:
                    break
    finally:
        process.kill()
        await process.wait()
    assert until in shown, shown
    return shown


async def test_the_command_line_of_websockets_connects_with_a_ticket(daemon: Daemon) -> None:
    ticket = (await daemon.rest("POST", "/v1/auth/ticket", {}, daemon.token(str(uuid4())))).body["ticket"]
    url = f"{daemon.addresses.socket}?codec=json&ticket={ticket}"
    await run([sys.executable, "-m", "websockets", url], PING, '"pong"')


async def test_wscat_connects(daemon: Daemon) -> None:
    token = f"Authorization: Bearer {daemon.token(str(uuid4()))}"
    command = [tool("wscat", "node-ws"), "-s", "chatd.v1.json", "-H", token, "-c", daemon.addresses.socket]
    await run(command, PING, '"pong"')


async def test_the_node_package_ws_connects(daemon: Daemon, tmp_path: Path) -> None:
    script = tmp_path / "talk.js"
    script.write_text(NODE)
    tool("wscat", "node-ws")
    async with daemon.person() as person:
        command = [
            tool("node", "nodejs"),
            str(script),
            daemon.addresses.socket,
            daemon.token(str(uuid4())),
            person.user,
        ]
        shown = await run(command, "", "closed 1000")
        assert '"message.ack"' in shown
        assert (await person.event("message.new"))["message"]["text"] == "héllo"
        assert json.loads(shown.splitlines()[0])["t"] == "connected"
