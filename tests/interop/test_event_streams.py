"""A client in JavaScript without any package reads /v1/events as a browser would."""

import json
import subprocess
from functools import partial

import trio

from chatd.client import sign_up
from tests.interop.tools import tool
from tests.support import Daemon, shared

daemon = shared
TIMEOUT_S = 60
# Streams up to the first message, breaks off, continues as a long poll, and sends a message that names its session.
SCRIPT = """
const [base, token, conversation] = process.argv.slice(1);
const authorized = {Authorization: `Bearer ${token}`};
let position = "", session = "";
const seen = [];
function take(frame) {
  const event = frame[1];
  if (event.t === "connected") session = event.session;
  if (event.t === "message.new") seen.push(event.message.text);
}
const stop = new AbortController();
const stream = await fetch(`${base}/v1/events`, {headers: authorized, signal: stop.signal});
const decoder = new TextDecoder();
let text = "";
reading: for await (const part of stream.body) {
  text += decoder.decode(part, {stream: true});
  let end;
  while ((end = text.indexOf("\\n\\n")) >= 0) {
    const fields = text.slice(0, end).split("\\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)]);
    text = text.slice(end + 2);
    const found = Object.fromEntries(fields);
    if (!found.data) continue;
    position = found.id;
    take(JSON.parse(found.data));
    if (session && seen.length === 0) console.log("ready");
    if (seen.length) break reading;
  }
}
stop.abort();
const url = `${base}/v1/conversations/${conversation}/messages`;
const headers = {...authorized, "Content-Type": "application/json", "Chatd-Session": session};
await fetch(url, {method: "POST", headers, body: JSON.stringify({client_id: "1", text: "mine"})});
console.log("sent");
while (seen.at(-1) !== "last") {
  const answer = await fetch(`${base}/v1/events?wait=5&after=${encodeURIComponent(position)}`, {headers: authorized});
  for (const frame of await answer.json()) take(frame);
  position = answer.headers.get("Chatd-Position");
}
console.log(JSON.stringify(seen));
"""


async def test_node_streams_and_polls(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob = await sign_up(daemon.addresses.http, name="bob")
        conversation = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        command = [tool("node", "nodejs"), "--input-type=module", "-e", SCRIPT]
        arguments = (daemon.addresses.http, bob.access_token, conversation)
        with trio.fail_after(TIMEOUT_S), subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE) as script:
            assert script.stdout is not None
            line = partial(trio.to_thread.run_sync, script.stdout.readline, abandon_on_cancel=True)
            assert await line() == b"ready\n"
            await alice.send(conversation, "first \u2028\n👍")
            while (said := await line()) == b"ready\n":
                pass
            assert said == b"sent\n"
            assert (await alice.event("message.new"))["message"]["text"] == "mine"
            await alice.send(conversation, "last")
            assert json.loads(await line()) == ["first \u2028\n👍", "last"]
