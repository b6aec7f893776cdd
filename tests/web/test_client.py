"""The JavaScript client against a whole daemon, in Node and in Chromium."""

from tests.support import Daemon, eventually
from tests.web.clients import opened, start, texts
from tests.web.programs import Make, until


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


LAST = "const m = kept.client.conversation(id).get().messages.at(-1); return m && "


async def test_changes_of_a_conversation_are_shown(daemon: Daemon, programs: Make) -> None:
    """Edits, reactions, deletes, typing, presence, counters, drafts, members, profiles."""
    program = await programs()
    user = await start(program, daemon)
    async with daemon.person("bob") as bob:
        id_ = await opened(bob, user)
        await program.run(
            "kept.client.conversation(id).subscribe(() => {}); kept.client.presence(bob).subscribe(() => {})",
            id=id_,
            bob=bob.user,
        )
        ack = await bob.send(id_, "hello")
        await until(program, LAST + "m.text === 'hello'", id=id_)
        message = {"conversation": id_, "message": ack["message"]}
        await bob.call("message.edit", **message, text="better")
        await until(program, LAST + "m.text === 'better' && m.edited_at > 0", id=id_)
        await program.run("await kept.client.conversation(id).react(message, '👍')", id=id_, message=ack["message"])
        await until(program, LAST + "m.mine?.[0] === '👍' && m.reactions['👍'] === 1", id=id_)
        await bob.call("reaction.add", **message, emoji="👍")
        await until(program, LAST + "m.mine?.[0] === '👍' && m.reactions['👍'] === 2", id=id_)
        await program.run("await kept.client.conversation(id).star(message)", id=id_, message=ack["message"])
        await bob.call("reaction.remove", **message, emoji="👍")
        await until(program, LAST + "m.starred_at > 0 && m.reactions['👍'] === 1", id=id_)
        await bob.call("typing.start", conversation=id_)
        shown = "return kept.client.conversation(id).get()"
        await until(program, f"{shown}.typing[0] === bob", id=id_, bob=bob.user)
        await bob.send(id_, "second", reply_to=ack["message"])
        await until(program, f"{shown}.typing.length === 0", id=id_)
        await until(program, LAST + "m.quote?.text === 'better'", id=id_)
        await bob.call("message.edit", **message, text="best")
        await until(program, LAST + "m.quote?.text === 'best'", id=id_)
        await until(program, "return kept.client.presence(bob).get().status === 'online'", bob=bob.user)
        assert await program.run("return kept.client.conversations.get().unread") == 2
        await program.run("kept.client.conversation(id).markRead()", id=id_)
        assert await program.run("return kept.client.conversations.get().unread") == 0
        assert (await bob.event("message.read"))["seq"] == 2
        await bob.call("message.delete", **message)
        await until(program, f"{shown}.messages[0].deleted_at > 0", id=id_)
        await program.run("kept.client.conversation(id).setDraft('not yet')", id=id_)
        async with daemon.connected(bob.account):
            await bob.call("user.update", name="Robert")
        await until(program, "return kept.client.conversations.get().items[0].name === 'Robert'")
        draft = "return (await kept.client.call('conversation.get', { conversation: id })).conversation.settings.draft"
        await until(program, draft, lambda found: found == "not yet", id=id_)


async def test_history_is_loaded_in_pages(daemon: Daemon, programs: Make) -> None:
    program = await programs()
    user = await start(program, daemon)
    async with daemon.person("bob") as bob:
        conversation = await opened(bob, user)
        for number in range(130):
            await bob.send(conversation, str(number))
        await program.run("await kept.client.conversation(id).load()", id=conversation)
        code = "const s = kept.client.conversation(id).get(); return [s.messages.length, s.hasOlder]"
        await until(program, code, lambda found: found[0] >= 50 and found[1], id=conversation)
        await program.run("kept.client.conversation(id).subscribe(() => {})", id=conversation)
        for _ in range(3):
            await program.run("await kept.client.conversation(id).loadOlder()", id=conversation)
        assert await program.run(code, id=conversation) == [130, False]
        assert await texts(program, conversation, 130) == [str(number) for number in range(130)]


async def test_groups_and_their_end(daemon: Daemon, programs: Make) -> None:
    program = await programs()
    user = await start(program, daemon)
    async with daemon.person("bob") as bob:
        group = await program.run("return (await kept.client.create('Chess', [bob])).id", bob=bob.user)
        code = "return kept.client.conversation(id).get()"
        found = await until(program, f"{code}.conversation", id=group)
        assert (found["name"], len(found["members"]), found["partner"]) == ("Chess", 2, None)
        await program.run(
            "await kept.client.call('member.role', { conversation: id, user: bob, role: 'admin' })",
            id=group,
            bob=bob.user,
        )
        await bob.call("conversation.edit", conversation=group, title="Go")
        await until(program, f"{code}.conversation.name === 'Go'", id=group)
        async with daemon.person("carol") as carol:
            await bob.call("member.add", conversation=group, users=[carol.user])
            await until(program, f"{code}.conversation.members.length === 3", id=group)
            await carol.call("conversation.leave", conversation=group)
            await until(program, f"{code}.conversation.members.length === 2", id=group)
        await program.run(
            "await kept.client.call('conversation.transfer', { conversation: id, user: bob })", id=group, bob=bob.user
        )
        await bob.call("member.remove", conversation=group, user=user)
        await until(program, f"{code}.gone === 'removed'", id=group)
        assert await program.run("return kept.client.conversations.get().items.length") == 0
        await bob.call("member.add", conversation=group, users=[user])
        await until(program, f"{code}.gone === null && {code[7:]}.conversation.members.length === 2", id=group)


async def test_files_are_uploaded_with_progress(daemon: Daemon, programs: Make) -> None:
    program = await programs()
    user = await start(program, daemon)
    code = """
    const shown = [];
    const file = new Blob([new Uint8Array(size).fill(7)]);
    const done = await kept.client.upload(file, { name: "Ängste.bin", progress: (sent, total) => shown.push([sent, total]) });
    return [done, shown];
    """
    for size in (1000, 3_000_000):
        done, shown = await program.run(code, size=size)
        assert (done["size"], done["name"]) == (size, "Ängste.bin")
        assert (shown[0], shown[-1]) == ([0, size], [size, size])
        assert shown == sorted(shown)
    assert len(shown) > 5
    async with daemon.person("bob") as bob:
        conversation = await opened(bob, user)
        await program.run(
            "await kept.client.conversation(id).send({ attachments: [{ upload }], local: 'mine' }).ack",
            id=conversation,
            upload=done["id"],
        )
        assert (await bob.event("message.new"))["message"]["attachments"][0]["upload"] == done["id"]
        await until(program, LAST + "m.attachments[0]?.size === 3000000 && m.state === 'sent'", id=conversation)
    refused = "return kept.client.upload(new Blob([Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10, 0])])).catch((error) => error.name + error.code)"
    assert await program.run(refused) == "Refusedbad_request"
    stopped = """
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error("enough")));
    return kept.client.upload(new Blob([new Uint8Array(2 ** 22)]), { signal: abort.signal }).catch(({ message }) => message);
    """
    assert await program.run(stopped) == "enough"


async def test_strangers(daemon: Daemon, programs: Make) -> None:
    program = await programs()
    for name in ("a", "b", "c"):
        await start(program, daemon, name)
    queue = f"web-{id(program) % 10**9}"
    phase = "return kept[name].match.get().phase"

    async def find(name: str) -> None:
        await program.run("await kept[name].match.find({ queue })", name=name, queue=queue)

    await find("a")
    assert await program.run(phase, name="a") == "searching"
    await program.run("await kept.a.match.cancel()")
    await find("a")
    await find("b")
    for name in ("a", "b"):
        await until(program, phase, lambda found: found == "matched", name=name)
    place = await program.run("return kept.a.match.get().match.conversation")
    await program.run("await kept.a.conversation(id).send('who are you?').ack", id=place)
    assert await texts(program, place, 1, "b") == ["who are you?"]
    own = "return kept[name].conversation(id).get().messages[0].own"
    assert [await program.run(own, name=name, id=place) for name in ("a", "b")] == [True, False]
    await program.run("await kept.b.match.report('spam', 'rude')")
    await find("c")
    await program.run("await kept.a.match.skip()")
    for name in ("a", "c"):
        await until(program, phase, lambda found: found == "matched", name=name)
    await until(program, "return kept.b.match.get().reason", lambda found: found == "skipped")
    await until(program, "return kept.b.conversation(id).get().gone !== null", id=place)
    kept = await program.run("return kept.a.match.get().match.conversation")
    await program.run("await kept.a.conversation(id).send('keep?').ack; await kept.a.match.keep()", id=kept)
    await program.run("await kept.c.match.keep()")
    for name in ("a", "c"):
        await until(program, "return kept[name].match.get().reason", lambda found: found == "kept", name=name)
        code = (
            "const s = kept[name].conversation(id).get(); return s.conversation?.kind !== 'match' && s.messages.length"
        )
        await program.run("await kept[name].conversation(id).load()", name=name, id=kept)
        await until(program, code, lambda found: found == 1, name=name, id=kept)
    assert [await program.run(own, name=name, id=kept) for name in ("a", "c")] == [True, False]


async def test_a_permanent_refusal_is_shown_and_can_be_discarded(daemon: Daemon, programs: Make) -> None:
    program = await programs()
    await start(program, daemon)
    async with daemon.person("bob") as bob:
        id_ = await program.run("return (await kept.client.open(bob)).id", bob=bob.user)
        await bob.call("user.block", user=await program.run("return kept.client.user"))
        sent = "return kept.client.conversation(id).send('hello').ack.catch(({ code }) => code)"
        assert await program.run(sent, id=id_) == "blocked"
        state = "return kept.client.conversation(id).get().messages.map(({ state, error }) => [state, error.code])"
        assert await program.run(state, id=id_) == [["failed", "blocked"]]
        await program.run("kept.client.conversation(id).discard(kept.client.outbox.get()[0].fields.client_id)", id=id_)
        assert await program.run(state, id=id_) == []
