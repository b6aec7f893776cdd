"""Clients in a JavaScript program: how a test starts them, and looks at what they show."""

from typing import Any

from tests.support import Daemon, Person
from tests.web.programs import Program, until

START = """
const account = kept[name + " account"] ??= chat.guest({ url, storage: chat.memoryStorage(), key: name });
await account.signUp(name);
const client = chat.connect({ url, token: account.token, ...platform, ...options });
kept[name] = client;
client.events = [];
client.on("*", (event) => client.events.push(event));
client.states = [];
client.status.subscribe(({ state }) => client.states.at(-1) === state || client.states.push(state));
await client.connected();
return client.user;
"""
MESSAGES = "return kept[name].conversation(id).get().messages.map(({ text }) => text)"


async def start(program: Program, daemon: Daemon, name: str = "client", **options: Any) -> str:
    """Sign up and connect as `kept[name]`. Returns the user id."""
    url = options.pop("url", daemon.addresses.http)
    return str(await program.run(START, url=url, name=name, options=options))


async def texts(program: Program, conversation: str, count: int, name: str = "client") -> list[str]:
    """The texts of the conversation, as soon as there are so many messages."""
    found: list[str] = await until(program, MESSAGES, lambda texts: len(texts) >= count, name=name, id=conversation)
    return found


async def status(program: Program, wanted: str, name: str = "client") -> None:
    await until(program, "return kept[name].status.get().state", lambda state: state == wanted, name=name)


async def opened(person: Person, user: str) -> str:
    return str((await person.call("conversation.open", user=user))["conversation"]["id"])
