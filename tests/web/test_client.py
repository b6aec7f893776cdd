"""The JavaScript client against a whole daemon, in Node and in Chromium."""

from typing import Any

from tests.support import Daemon, Person, eventually
from tests.web.programs import Make, Program, until

START = """
const account = chat.guest({ url, storage: chat.memoryStorage(), key: name });
await account.signUp(name);
const client = chat.connect({ url, token: account.token, ...platform, ...options });
kept[name] = client;
kept.events ??= [];
client.on("*", (event) => kept.events.push(event));
await client.connected();
return client.user;
"""


async def start(program: Program, daemon: Daemon, name: str = "client", **options: Any) -> str:
    """Sign up and connect as `kept[name]`. Returns the user id."""
    url = options.pop("url", daemon.addresses.http)
    return str(await program.run(START, url=url, name=name, options=options))


async def texts(program: Program, conversation: str, count: int) -> list[str]:
    """The texts of the conversation, as soon as there are so many messages."""
    code = "return kept.client.conversation(id).get().messages.map((message) => message.text)"
    found: list[str] = await until(program, code, lambda texts: len(texts) >= count, id=conversation)
    return found


async def opened(person: Person, user: str) -> str:
    return str((await person.call("conversation.open", user=user))["conversation"]["id"])


async def test_messages_are_sent_and_received(daemon: Daemon, programs: Make) -> None:
    program = await programs()
    user = await start(program, daemon)
    async with daemon.person("bob") as bob:
        conversation = await opened(bob, user)
        await bob.send(conversation, "hello")
        assert await texts(program, conversation, 1) == ["hello"]
        await program.run("await kept.client.conversation(id).send('and you?').ack", id=conversation)
        new = await bob.event("message.new")
        assert (new["message"]["text"], new["message"]["sender"]) == ("and you?", user)
        assert await texts(program, conversation, 2) == ["hello", "and you?"]
        state = "return kept.client.conversation(id).get().messages.at(-1).state"
        assert await program.run(state, id=conversation) == "sent"
        await bob.call("receipt.delivered", conversation=conversation, seq=2)
        await until(program, state, lambda found: found == "delivered", id=conversation)
        await bob.call("receipt.read", conversation=conversation, seq=2)
        await until(program, state, lambda found: found == "read", id=conversation)
        report = ("event", {"t": "message.delivered", "user": user, "seq": 1})
        await eventually(
            lambda: any((kind, {name: event.get(name) for name in report[1]}) == report for kind, event in bob.log)
        )
