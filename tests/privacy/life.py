"""The life of a user who uses everything: each command that writes, over sockets and the server API, with words of her
own that occur nowhere else. What others and admins do to her is part of it.

`Life.commands` has the commands that were used. `tests/privacy/test_completeness.py` fails if one that writes is
missing, or if a table about users has no row of hers.
"""

from base64 import b64encode
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from chatd.accounts.external_ids import user_id_of
from chatd.client import Account, sign_up
from chatd.core.clock import now_ms
from tests.actions.bots import button
from tests.admins import done as ordered
from tests.bots.world import WEATHER
from tests.files import PDF, picture, stored
from tests.reply import Reply
from tests.server_api.backend import Backend, backend_of
from tests.support import Daemon, Person
from tests.uploads.test_resumable import begun, patched

EXTERNAL_ID = "zqexternalqz|ann"
DAY_MS = 86_400_000


@dataclass
class Life:
    """What the tests need to know of the user: her words by the place that they were used in, and her ids."""

    daemon: Daemon
    backend: Backend
    stack: AsyncExitStack
    words: dict[str, str] = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)
    # Places whose words she, her backend or an admin has replaced since.
    replaced: set[str] = field(default_factory=set)
    device: str = "device-secret-" + "d" * 20

    def word(self, place: str) -> str:
        """A word of hers that occurs nowhere else."""
        return self.words.setdefault(place, f"zq{place}qz")

    async def do(self, person: Person, command: str, **fields: Any) -> Reply:
        self.commands.add(command)
        return await person.call(command, **fields)

    async def order(self, command: str, **fields: Any) -> Any:
        self.commands.add(f"admin.{command}")
        return await ordered(self.daemon, command, **fields)

    async def serve(self, command: str, method: str, path: str, body: Any = None) -> Any:
        self.commands.add(command)
        return await self.backend.done(method, path, body)

    async def send(self, person: Person, conversation: str, text: str, **fields: Any) -> str:
        """The id of a new message."""
        given = {"conversation": conversation, "client_id": str(uuid4()), "text": text, **fields}
        return str((await self.do(person, "message.send", **given)).message)

    async def enter(self, account: Account) -> Person:
        return await self.stack.enter_async_context(self.daemon.connected(account))

    async def person(self, name: str) -> Person:
        return await self.stack.enter_async_context(self.daemon.person(name))


@dataclass
class Cast:
    """The user, and those whom she meets. `eve` is an anonymous user who will be erased as well."""

    ann: Person
    bob: Person
    carol: Person
    eve: Person


async def live(daemon: Daemon, stack: AsyncExitStack) -> tuple[Life, Cast]:
    """All of it. The chapters leave rows behind that the later ones do not remove."""
    life = Life(daemon, await backend_of(daemon), stack)
    cast = await arrive(life)
    group = await gather(life, cast)
    await look_after_the_profile(life, cast)
    await ask_others(life, cast)
    await write(life, cast, group)
    await keep_for_oneself(life, cast, group)
    await poll_and_thread(life, cast, group)
    await add_and_remove_bots(life)
    await use_a_bot(life, cast, group)
    await be_matched(life, cast)
    await be_moderated(life, cast, group)
    await be_managed(life, cast)
    await log_in_and_out(life, cast)
    return life, cast


async def arrive(life: Life) -> Cast:
    """Ann is made by her backend, Eve by an anonymous sign-up. A webhook endpoint that nobody answers gets all events."""
    await life.order("webhook.add", url="https://nobody.invalid/hook", types=["*"])
    fields = {"name": life.word("first"), "picture_url": f"https://p.test/{life.word('picture')}", "locale": "pt-BR"}
    body = {"external_id": EXTERNAL_ID, "roles": [life.word("role")], **fields}
    user = (await life.serve("server.user.put", "POST", "/users", body))["user"]["id"]
    assert user == user_id_of("default", EXTERNAL_ID)
    await life.serve("server.users.put", "POST", "/users/batch", {"users": [{"external_id": EXTERNAL_ID}]})
    tokens = await life.serve("server.user.token", "POST", f"/users/{user}/tokens", {})
    http = life.daemon.addresses.http
    ann = await life.enter(Account(http, user, tokens["access_token"], tokens["refresh_token"]))
    bob, carol = await life.person("bob"), await life.person("carol")
    return Cast(ann, bob, carol, await signed_up(life, name=life.word("eve")))


async def signed_up(life: Life, **fields: Any) -> Person:
    """Eve, who signs up with her device. Her tokens are refreshed once."""
    life.commands |= {"auth.anonymous", "auth.rotate"}
    named = {"login_name": life.word("phone"), "platform": life.word("platform"), **fields}
    account = await sign_up(life.daemon.addresses.http, device=life.device, **named)
    await account.refresh(account.access_token)
    return await life.enter(account)


async def gather(life: Life, cast: Cast) -> str:
    """A group of Ann with all roles and rules; groups that she left, joined, was removed from, and asks to join."""
    ann, bob, carol = cast.ann, cast.bob, cast.carol
    group = str(
        (await life.do(ann, "conversation.create", members=[bob.user], title=life.word("title"))).conversation.id
    )
    rules = {"joining": "invite", "slow_seconds": 0, "keep_days": 100}
    await life.do(ann, "conversation.edit", conversation=group, description=life.word("description"), **rules)
    await life.do(ann, "member.add", conversation=group, users=[carol.user])
    await life.do(ann, "member.role", conversation=group, user=bob.user, role="admin")
    for _ in range(2):
        invite = await life.do(ann, "invite.create", conversation=group)
    await life.do(ann, "invite.revoke", conversation=group, invite=invite.invite)
    for name in ("left", "removed", "dissolved", "transferred"):
        other = str((await bob.call("conversation.create", members=[ann.user], title=name)).conversation.id)
        if name == "left":
            await life.do(ann, "conversation.leave", conversation=other)
        if name == "removed":
            await life.do(bob, "member.remove", conversation=other, user=ann.user)
        if name == "transferred":
            await life.do(bob, "conversation.transfer", conversation=other, user=ann.user)
    own = str((await life.do(ann, "conversation.create", members=[bob.user])).conversation.id)
    await life.do(ann, "conversation.dissolve", conversation=own)
    open_ = str((await carol.call("conversation.create", members=[])).conversation.id)
    await carol.call("conversation.edit", conversation=open_, joining="request")
    secret = (await carol.call("invite.create", conversation=open_))["secret"]
    await life.do(ann, "conversation.join", secret=secret, text=life.word("request"))
    await life.do(cast.eve, "conversation.join", secret=secret, text=life.word("knock"))
    await life.do(carol, "join.decide", conversation=open_, user=cast.eve.user, approve=True)
    await ann.call("conversation.create", members=[cast.eve.user])
    return group


async def look_after_the_profile(life: Life, cast: Cast) -> None:
    """Two names and two handles, so that one was given up; an avatar, and settings."""
    ann = cast.ann
    for number in ("one", "two"):
        named = {"name": life.word(f"name{number}"), "handle": life.word(f"handle{number}")}
        about = {"status_text": life.word("status"), "profile": {life.word("key"): life.word("value")}}
        await life.do(ann, "user.update", time_zone="Asia/Kathmandu", locale="ne", **named, **about)
    name = f"{life.word('avatar')}.png"
    avatar = (await stored(life.daemon, ann.account.access_token, picture(size=(900, 700)), name))["id"]
    await life.do(ann, "user.update", avatar=avatar)
    quiet = {"from": "22:00", "to": "06:00", "zone": "Asia/Kathmandu"}
    await life.do(ann, "user.settings", notify="mentions", quiet=quiet, show_presence="contacts")
    await life.do(ann, "presence.set", status="away")
    await life.do(ann, "presence.watch", users=[cast.bob.user])


async def ask_others(life: Life, cast: Cast) -> None:
    """Contacts, blocks and requests, in both directions."""
    ann, bob, carol, eve = cast.ann, cast.bob, cast.carol, cast.eve
    await life.do(ann, "contact.add", user=bob.user)
    await bob.call("contact.add", user=ann.user)
    await ann.call("contact.add", user=eve.user)
    await life.do(ann, "contact.remove", user=eve.user)
    for person in (ann, bob, carol):
        await person.call("user.settings", allow_messages="contacts", allow_groups="nobody")
    dave, frank, grace = [await life.person(name) for name in ("dave", "frank", "grace")]
    for person in (dave, frank, grace):
        await person.call("user.settings", allow_messages="contacts")
        asked = str((await ann.call("conversation.open", user=person.user)).conversation.id)
        await life.send(ann, asked, life.word("greeting"))
    await life.do(grace, "request.decline", conversation=asked)
    await life.do(ann, "request.withdraw", conversation=asked, user=grace.user)
    await life.do(ann, "conversation.open", user=grace.user)
    for person, answer in ((dave, "request.accept"), (frank, "request.decline"), (grace, "request.block")):
        stranger = await life.person("stranger")
        theirs = str((await stranger.call("conversation.open", user=ann.user)).conversation.id)
        await stranger.send(theirs, "hello")
        await life.do(ann, answer, conversation=theirs)
        await person.call("conversation.create", members=[ann.user], title="an invitation")
    await life.do(ann, "user.block", user=frank.user)
    await ann.call("user.block", user=eve.user)
    await life.do(ann, "user.unblock", user=eve.user)
    await frank.call("user.block", user=ann.user)


async def write(life: Life, cast: Cast, group: str) -> None:
    """Messages with all parts, edits, reactions, files, links, and what others make of them."""
    ann, bob = cast.ann, cast.bob
    token = ann.account.access_token
    file = (await stored(life.daemon, token, PDF, f"{life.word('file')}.pdf"))["id"]
    unused = (await stored(life.daemon, token, b"plain " + life.word("bytes").encode(), life.word("unused")))["id"]
    gone = (await stored(life.daemon, token, PDF, life.word("gone")))["id"]
    await life.do(ann, "upload.delete", upload=gone)
    await stored(life.daemon, cast.eve.account.access_token, PDF, life.word("anonymous"))
    await life.do(ann, "upload.sign", uploads=[file, unused])
    meta = b64encode(f"{life.word('unfinished')}.bin".encode()).decode()
    path = await begun(life.daemon, token, 2_000_000, Upload_Metadata=f"filename {meta}")
    await patched(life.daemon, token, path, 0, life.word("parts").encode() * 60_000)
    attachments = [
        {"type": "file", "upload": file},
        {"type": "location", "latitude": 1.0, "longitude": 2.0, "name": life.word("place")},
        {"type": "contact", "name": life.word("contact"), "phones": ["+49 170 0000000"]},
        {"type": "link", "url": f"https://x.test/{life.word('link')}", "title": life.word("preview")},
    ]
    parts = {"attachments": attachments, "meta": {life.word("metakey"): life.word("meta")}, "mentions": [bob.user]}
    text = f"{life.word('text')} https://y.test/{life.word('url')}"
    sent = await life.send(ann, group, text, client_id=life.word("client"), **parts)
    await life.do(ann, "message.edit", conversation=group, message=sent, text=life.word("edited"))
    direct = str((await bob.call("conversation.open", user=ann.user)).conversation.id)
    for place in (direct, group):
        theirs = await life.send(bob, place, "and you?", reply_to=None, mentions=[ann.user])
        await life.send(ann, place, life.word("answer"), reply_to=theirs)
        await life.do(ann, "reaction.add", conversation=place, message=theirs, emoji=":tea:")
        await ann.call("reaction.add", conversation=place, message=theirs, emoji=":milk:")
        await life.do(ann, "reaction.remove", conversation=place, message=theirs, emoji=":milk:")
        await life.do(ann, "message.pin", conversation=place, message=theirs)
        await life.do(ann, "receipt.delivered", conversation=place, seq=1)
        await life.do(ann, "receipt.read", conversation=place, seq=1)
        await life.do(ann, "typing.start", conversation=place)
        await life.do(ann, "typing.stop", conversation=place)
    await life.do(ann, "message.unpin", conversation=group, message=theirs)
    for person, source in ((ann, theirs), (bob, sent)):
        forward = {"conversation": direct, "client_id": str(uuid4()), "source": group, "message": source}
        await life.do(person, "message.forward", **forward)
    await bob.send(group, "quoting", reply_to=sent)
    await bob.call("reaction.add", conversation=group, message=sent, emoji="👍")
    name = f"{life.word('withheld')}.pdf"
    withheld = [{"upload": (await stored(life.daemon, token, PDF, name))["id"]}]
    deleted = await life.send(ann, group, life.word("deleted"), attachments=withheld)
    await life.do(ann, "message.delete", conversation=group, message=deleted)
    await ann.call("message.delete", conversation=group, message=theirs, scope="me")


async def keep_for_oneself(life: Life, cast: Cast, group: str) -> None:
    """Drafts, labels, stars, searches, scheduled messages; and those of others about her."""
    ann, bob = cast.ann, cast.bob
    file = (await stored(life.daemon, ann.account.access_token, PDF, f"{life.word('drafted')}.pdf"))["id"]
    message = await life.send(bob, group, "to be starred")
    own = {"draft": life.word("draft"), "labels": [life.word("label")], "pinned": True, "notify": "none"}
    await life.do(
        ann, "conversation.settings", conversation=group, draft_parts={"attachments": [{"upload": file}]}, **own
    )
    await life.do(ann, "label.rename", label=life.word("label"), to=life.word("relabel"))
    life.replaced.add("label")
    await life.do(ann, "message.star", conversation=group, message=message)
    other = await life.send(bob, group, "to be unstarred")
    await ann.call("message.star", conversation=group, message=other)
    await life.do(ann, "message.unstar", conversation=group, message=other)
    await ann.call("message.search", query=life.word("query"))
    await ann.call("user.search", query=life.word("lookup"))
    later = now_ms() + DAY_MS
    for number in range(2):
        body = {"client_id": f"later{number}", "text": life.word("scheduled"), "attachments": [{"upload": file}]}
        plan = await life.do(ann, "message.schedule", conversation=group, at=later, **body)
        await life.do(ann, "schedule.edit", id=plan.id, text=life.word("rescheduled"))
    await life.do(ann, "schedule.cancel", id=plan.id)
    life.replaced |= {"scheduled", "query", "lookup"}
    await bob.call("message.schedule", conversation=group, at=later, client_id="b", text="hey", mentions=[ann.user])


async def poll_and_thread(life: Life, cast: Cast, group: str) -> None:
    ann, bob = cast.ann, cast.bob
    asked = {"question": life.word("question"), "options": [life.word("option"), life.word("other")]}
    for name in ("open", "closed"):
        poll = await life.do(ann, "poll.create", conversation=group, client_id=name, **asked)
        await life.do(ann, "poll.vote", conversation=group, message=poll.message, options=[1])
    await life.do(ann, "poll.close", conversation=group, message=poll.message)
    theirs = await bob.call(
        "poll.create", conversation=group, client_id="p", question="?", options=["a", "b"], anonymous=True
    )
    await ann.call("poll.vote", conversation=group, message=theirs.message, options=[0])
    root = await life.send(bob, group, "a root")
    reply = await life.send(ann, group, life.word("reply"), thread=root)
    await life.send(bob, group, "me too", thread=root, mentions=[ann.user])
    await life.do(ann, "thread.read", conversation=group, thread=root, seq=1)
    await life.do(ann, "thread.follow", conversation=group, thread=root)
    await life.do(ann, "thread.unfollow", conversation=group, thread=await life.send(bob, group, "another root"))
    assert reply


async def add_and_remove_bots(life: Life) -> None:
    """A bot of an admin and one of a backend, with all that is done to bots."""
    made = await life.order("bot.add", handle="firstbot", description="a bot of an admin")
    bot = made["bot"]["id"]
    await life.order("bot.update", bot=bot, name="a name")
    await life.order("bot.token", bot=bot)
    await life.order("bot.revoke", bot=bot)
    await life.order("bot.remove", bot=bot)
    made = await life.serve("server.bot.add", "POST", "/bots", {"handle": "secondbot"})
    path = f"/bots/{made['bot']['id']}"
    await life.serve("server.bot.update", "PATCH", path, {"name": "a name"})
    await life.serve("server.bot.token", "POST", f"{path}/token", {})
    await life.serve("server.bot.revoke", "DELETE", f"{path}/token")
    await life.serve("server.bot.remove", "DELETE", path)


async def use_a_bot(life: Life, cast: Cast, group: str) -> None:
    """A command for a bot, and its buttons: one press is answered, one acknowledged, one waits."""
    ann, hook = cast.ann, "https://nobody.invalid/bot"
    made = await life.backend.done("POST", "/bots", {"handle": "thirdbot", "webhook": hook})
    bot = await life.enter(Account(life.daemon.addresses.http, made["bot"]["id"], made["token"], ""))
    await life.do(bot, "bot.commands.set", commands=[WEATHER])
    await ann.call("member.add", conversation=group, users=[bot.user])
    asked = await life.send(ann, group, f"/weather {life.word('city')}")
    buttons = [[button(life.word("pressed"))]]
    answer = await life.send(bot, group, "sure?", reply_to=asked, mentions=[ann.user], actions=buttons)
    press = {"conversation": group, "message": answer, "action": life.word("pressed")}
    actions = [
        str((await life.do(ann, "message.action", client_id=life.word(f"press{name}"), **press)).action)
        for name in ("answered", "taken", "waiting")
    ]
    await life.do(bot, "bot.notify", action=actions[0], text=life.word("notified"))
    await life.do(bot, "bot.ack", actions=[actions[1]])


async def be_matched(life: Life, cast: Cast) -> None:
    """A match that was kept, one that was left, one that was skipped, and a wait."""
    ann, bob = cast.ann, cast.bob
    for end in ("match.leave", "match.skip", "match.keep"):
        given = {"tags": [life.word("tag"), "tea"], "attributes": {life.word("attribute"): life.word("attributed")}}
        accept = {"should": {"x": life.word("wish")}}
        await life.do(ann, "match.find", queue=f"q{end[6:]}", accept=accept, **given)
        await bob.call("match.find", queue=f"q{end[6:]}")
        met = await ann.event("match.found")
        await life.send(ann, met.conversation, life.word(f"stranger{end[6:]}"))
        if end == "match.keep":
            await bob.call("match.keep")
        await life.do(ann, end)
        if end == "match.skip":
            await life.do(ann, "match.cancel")
    for person in (ann, bob):
        await person.call("match.find", queue="asking")
    proposed = await ann.event("match.proposed")
    await life.do(ann, "match.confirm", match=proposed.match)
    await ann.call("match.cancel")
    await ann.call("match.find", queue="qwaiting", tags=[life.word("waiting")])


async def be_moderated(life: Life, cast: Cast, group: str) -> None:
    """Reports by and about her, strikes, bans that were lifted, a cleared profile."""
    ann, bob, eve = cast.ann, cast.bob, cast.eve
    theirs = await life.send(bob, group, "reported by Ann")
    await life.do(ann, "report.create", reason="spam", conversation=group, message=theirs, text=life.word("accusation"))
    hers = await life.send(ann, group, life.word("reported"))
    for person in (bob, cast.carol):
        report = await person.call("report.create", reason="spam", conversation=group, message=hers, text="bad")
    await life.order("report.resolve", report=report.report, outcome="dismissed", note="a note")
    await life.order("strike", user=ann.user, reason="a strike")
    await life.order("shadow", user=ann.user, on=True)
    await life.order("shadow", user=ann.user, on=False)
    await life.order("ban", user=eve.user, reason="a ban", devices=True)
    # That of the user, and that of the device.
    for ban in (await ordered(life.daemon, "bans"))["items"]:
        await life.order("ban.lift", ban=ban["id"])
    await life.order("profile.clear", user=eve.user, fields=["name"], reason="a bad name")
    life.replaced.add("eve")
    await life.order("conversation.messages", conversation=group, reason="an order of the court")
    await life.order("kick", user=eve.user)
    cast.eve = await signed_up(life)


async def be_managed(life: Life, cast: Cast) -> None:
    """What a backend does with her and in her name."""
    ann, bob, carol = cast.ann, cast.bob, cast.carol
    made = {"members": [ann.user, bob.user], "external_id": "room", "owner": ann.user}
    group = (await life.serve("server.conversation.create", "POST", "/conversations", made))["conversation"]["id"]
    await life.serve("server.conversation.edit", "PATCH", f"/conversations/{group}", {"title": "of the backend"})
    pair = {"user": ann.user, "other": carol.user}
    await life.serve("server.conversation.direct", "POST", "/conversations/direct", pair)
    await life.serve("server.member.add", "POST", f"/conversations/{group}/members", {"users": [carol.user]})
    await life.serve("server.member.remove", "DELETE", f"/conversations/{group}/members/{carol.user}")
    await life.serve("server.member.role", "PUT", f"/conversations/{group}/members/{ann.user}/role", {"role": "admin"})
    messages = f"/conversations/{group}/messages"
    for client_id in ("one", "two"):
        body = {"client_id": client_id, "sender": ann.user, "text": life.word("proxy")}
        sent = (await life.serve("server.message.send", "POST", messages, body))["message"]
        await life.serve("server.message.edit", "PATCH", f"{messages}/{sent}", {"text": life.word("proxyedit")})
    await life.serve("server.message.delete", "DELETE", f"{messages}/{sent}")
    await life.backend.done("POST", messages, {"client_id": "system", "text": "hello", "mentions": [ann.user]})
    other = await life.backend.group(ann.user)
    await life.serve("server.conversation.dissolve", "DELETE", f"/conversations/{other}")
    await life.serve("server.strike", "POST", f"/users/{ann.user}/strikes", {"reason": "a second strike"})


async def log_in_and_out(life: Life, cast: Cast) -> None:
    """Bans, deactivation and logins that ended; claims of a token; a ticket that nobody uses."""
    ann, path = cast.ann, f"/users/{cast.ann.user}"
    ban = (await life.serve("server.ban", "POST", f"{path}/bans", {"reason": "a ban", "devices": True}))["ban"]
    await life.serve("server.ban.lift", "DELETE", f"/bans/{ban}")
    await life.serve("server.user.deactivate", "POST", f"{path}/deactivate", {})
    await life.serve("server.user.reactivate", "POST", f"{path}/reactivate", {})
    await life.serve("server.user.logout", "POST", f"{path}/logout", {})
    accounts = []
    for _ in range(5):
        got = await life.backend.done("POST", f"{path}/tokens", {})
        accounts.append(Account(life.daemon.addresses.http, ann.user, got["access_token"], got["refresh_token"]))
    cast.ann = ann = await life.enter(accounts[0])
    second = await life.enter(accounts[1])
    await life.do(second, "auth.logout")
    listed = await ann.call("login.list")
    others = [one["id"] for one in listed["items"] if one["id"] != listed["current"]]
    await life.do(ann, "login.end", login=others[0])
    await life.order("user.login.end", user=ann.user, login=others[1])
    await life.do(ann, "login.end_others")
    await life.do(ann, "login.rename", login=listed["current"], name=life.word("login"))
    claims = {
        "name": life.word("claimed"),
        "picture": f"https://p.test/{life.word('face')}",
        "roles": [life.word("claimrole")],
    }
    token = life.daemon.token(EXTERNAL_ID, iat=now_ms() // 1000 + 1, **claims)
    assert (await life.daemon.rest("GET", "/v1/me", token=token)).status == 200
    await life.do(ann, "auth.refresh", token=token)
    outside = await life.enter(Account(life.daemon.addresses.http, ann.user, life.daemon.token(EXTERNAL_ID), ""))
    await outside.call("auth.logout")
    await life.do(ann, "auth.ticket")
    # The request to join was approved.
    life.replaced |= {"knock", "role", "picture", "nameone", "nametwo", "handleone", "first"}
