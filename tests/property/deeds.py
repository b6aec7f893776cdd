"""Random commands of the messenger, with valid and invalid arguments, from a seeded generator.

A deed is a function of the world and the acting device that returns a command: its name and its fields. It uses what
the device knows (its mirror), and what the world knows: the ids of all users, all conversations, all secrets of links.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.property.device import Device
from tests.property.room import NOBODY, Json, Room

EMOJI = ("👍", "🎉", "❤️", ":wave:", "no emoji")
LABELS = ("work", "home", "later")
PERMANENT, LONG_AGO = 2**53 - 1, 10**12
YEAR, SOON = 31_536_000, 3
# Milliseconds until a scheduled message is sent: during the history, or never in it.
LATER = (300, 1500, 1500, 86_400_000)
Fields = dict[str, Any]
Command = tuple[str, Fields]


@dataclass
class World:
    """What all deeds can use for arguments that belong to other users."""

    rng: random.Random
    users: list[str] = field(default_factory=list)
    conversations: set[str] = field(default_factory=set)
    secrets: list[str] = field(default_factory=list)
    invites: list[str] = field(default_factory=list)
    sent: list[Command] = field(default_factory=list)
    deeds: "dict[Deed, int]" = field(default_factory=lambda: DEEDS)
    numbers: Any = field(default_factory=lambda: count(1))
    # The users that each user has tried to block, by user id or alias.
    blocked: dict[str, list[str]] = field(default_factory=dict)
    # The probability that a deed of a user in a match is done there, and the queues in which users search.
    in_match: float = 0.0
    queues: tuple[str, ...] = ("default",)

    def user(self) -> str:
        return NOBODY if self.rng.random() < 0.03 else self.rng.choice(self.users)

    def some_users(self, most: int = 3) -> list[str]:
        return self.rng.sample(self.users, self.rng.randint(1, most))

    def room(self, device: Device) -> tuple[str, Room]:
        """A conversation of the device, or rarely any conversation."""
        rooms = sorted(device.mirror.rooms)
        matches = sorted(device.mirror.matches())
        if matches and self.rng.random() < self.in_match:
            rooms = matches
        if not rooms or self.rng.random() < 0.03:
            id_ = self.rng.choice([NOBODY, *sorted(self.conversations)])
            return id_, device.mirror.rooms.get(id_, Room())
        id_ = self.rng.choice(rooms)
        return id_, device.mirror.rooms[id_]

    def mentions(self, room: Room) -> list[str]:
        """Ids to mention: users, and in a match mostly its members, by their aliases."""
        if room.alias and self.rng.random() < 0.8:
            return self.rng.sample(sorted(room.members), min(len(room.members), self.rng.randint(1, 3)))
        return self.some_users()

    def message(self, device: Device) -> Json:
        """The position of a message: often a late one, rarely one that does not exist."""
        id_, room = self.room(device)
        if not room.messages or self.rng.random() < 0.02:
            return {"conversation": id_, "message": NOBODY}
        seqs = sorted(room.messages)
        seq = self.rng.choice(seqs[-5:] if self.rng.random() < 0.6 else seqs)
        return {"conversation": id_, "message": room.messages[seq]["id"]}

    def root(self, room: Room) -> str:
        """A message whose thread to reply in: often one that has replies, sometimes one that cannot have any."""
        roots = sorted(seq for seq, one in room.messages.items() if "replies" in one)
        if roots and self.rng.random() < 0.6:
            return str(room.messages[self.rng.choice(roots)]["id"])
        return str(room.messages[self.rng.choice(sorted(room.messages))]["id"])

    def client_id(self) -> str:
        return f"c{next(self.numbers)}"


Deed = Callable[[World, Device], Command]


def send(world: World, device: Device) -> Command:
    rng, (id_, room) = world.rng, world.room(device)
    if world.sent and rng.random() < 0.05:
        return rng.choice(world.sent)
    fields: Fields = {
        "conversation": id_,
        "client_id": world.client_id(),
        "text": rng.choice("abcdef") * rng.randint(1, 300),
    }
    if room.messages and rng.random() < 0.3:
        fields["reply_to"] = room.messages[rng.choice(sorted(room.messages))]["id"]
    if room.messages and rng.random() < 0.3:
        fields["thread"] = world.root(room)
    if rng.random() < 0.3:
        fields["mentions"] = world.mentions(room) + [NOBODY] * (rng.random() < 0.2)
    if rng.random() < 0.1:
        fields["everybody"] = True
    if rng.random() < 0.2:
        fields |= {"attachments": [{"type": "link", "url": "https://x.test/1"}], "meta": {"n": rng.randint(1, 9)}}
    world.sent = [*world.sent[-20:], ("message.send", fields)]
    return "message.send", fields


def schedule(world: World, device: Device) -> Command:
    _, fields = send(world, device)
    return "message.schedule", {**fields, "at": round(time.time() * 1000) + world.rng.choice(LATER)}


def reschedule(world: World, device: Device) -> Command:
    if not device.scheduled or world.rng.random() < 0.05:
        return "schedule.cancel", {"id": NOBODY}
    id_ = world.rng.choice(device.scheduled)["id"]
    return world.rng.choice([("schedule.cancel", {"id": id_}), ("schedule.edit", {"id": id_, "text": "said later"})])


def forward(world: World, device: Device) -> Command:
    source = world.message(device)
    to, _ = world.room(device)
    fields = {
        "conversation": to,
        "client_id": world.client_id(),
        "source": source["conversation"],
        "message": source["message"],
    }
    return "message.forward", fields


def edit(world: World, device: Device) -> Command:
    fields = {**world.message(device), "text": world.rng.choice("uvwxyz") * world.rng.randint(1, 9)}
    if world.rng.random() < 0.3:
        fields["mentions"] = world.mentions(device.mirror.rooms.get(fields["conversation"], Room()))[
            : world.rng.randint(0, 3)
        ]
    if world.rng.random() < 0.1:
        fields["everybody"] = world.rng.random() < 0.5
    return "message.edit", fields


def delete(world: World, device: Device) -> Command:
    return "message.delete", {**world.message(device), "scope": world.rng.choice(["all", "me"])}


def react(world: World, device: Device) -> Command:
    return "reaction.add", {**world.message(device), "emoji": world.rng.choice(EMOJI)}


def unreact(world: World, device: Device) -> Command:
    rooms = device.mirror.rooms.items()
    mine = [(id_, one) for id_, room in sorted(rooms) for one in room.messages.values() if one.get("mine")]
    if not mine:
        return "reaction.remove", {**world.message(device), "emoji": "👍"}
    id_, message = world.rng.choice(mine)
    return "reaction.remove", {
        "conversation": id_,
        "message": message["id"],
        "emoji": world.rng.choice(message["mine"]),
    }


def ask(world: World, device: Device) -> Command:
    """Create a poll."""
    rng, (id_, _) = world.rng, world.room(device)
    fields: Fields = {
        "conversation": id_,
        "client_id": world.client_id(),
        "question": "what?",
        "options": ["a", "b", "c"],
    }
    fields |= {"multiple": rng.random() < 0.5, "anonymous": rng.random() < 0.5}
    if rng.random() < 0.3:
        fields["closes_at"] = round(time.time() * 1000) + rng.choice(LATER)
    return "poll.create", fields


def vote(world: World, device: Device) -> Command:
    """Vote in a poll that the device knows, or rarely close it."""
    rng, rooms = world.rng, sorted(device.mirror.rooms.items())
    polls = [(id_, one) for id_, room in rooms for one in room.messages.values() if "poll" in one]
    if not polls:
        return ask(world, device)
    id_, message = rng.choice(polls[-4:])
    fields: Fields = {"conversation": id_, "message": message["id"]}
    if rng.random() < 0.1:
        return "poll.close", fields
    most = 3 if message["poll"]["multiple"] else 1
    return "poll.vote", {**fields, "options": rng.sample(range(3), rng.randint(0, most))}


def pin(world: World, device: Device) -> Command:
    return world.rng.choice(["message.pin", "message.pin", "message.unpin"]), world.message(device)


def star(world: World, device: Device) -> Command:
    return world.rng.choice(["message.star", "message.star", "message.unstar"]), world.message(device)


def thread(world: World, device: Device) -> Command:
    id_, room = world.room(device)
    if not room.messages:
        return "thread.follow", {"conversation": id_, "thread": NOBODY}
    fields = {"conversation": id_, "thread": world.root(room)}
    name = world.rng.choice(["thread.follow", "thread.unfollow", "thread.read", "thread.read"])
    return name, {**fields, "seq": world.rng.randint(0, room.seq)} if name == "thread.read" else fields


def receipt(world: World, device: Device) -> Command:
    id_, room = world.room(device)
    seq = world.rng.randint(0, room.seq + 1) if world.rng.random() < 0.3 else room.seq
    return world.rng.choice(["receipt.read", "receipt.delivered"]), {"conversation": id_, "seq": seq}


def open_(world: World, device: Device) -> Command:
    return "conversation.open", {"user": world.user()}


def create(world: World, device: Device) -> Command:
    return "conversation.create", {"members": world.some_users(), "title": f"group {next(world.numbers)}"}


def describe(world: World, device: Device) -> Command:
    rng, (id_, _) = world.rng, world.room(device)
    choices: list[Fields] = [
        {"title": f"t{next(world.numbers)}"}, {"description": rng.choice(["", "d"])}, {"announce": rng.random() < 0.3},
        {"disappear": rng.choice([0, 0, SOON, YEAR])}, {"joining": rng.choice(["closed", "invite", "request", "open"])},
        {"joining": "open"}, {"history": rng.choice(["all", "joined"])}, {"history": "joined"}, {"slow_seconds": 0},
        {"title": f"t{next(world.numbers)}", "history": "joined", "announce": False}, {"keep_days": rng.choice([0, 365])},
    ]  # fmt: skip
    return "conversation.edit", {"conversation": id_, **rng.choice(choices)}


def add(world: World, device: Device) -> Command:
    return "member.add", {"conversation": world.room(device)[0], "users": world.some_users()}


def remove(world: World, device: Device) -> Command:
    return "member.remove", {"conversation": world.room(device)[0], "user": world.user()}


def role(world: World, device: Device) -> Command:
    to = world.rng.choice(["admin", "moderator", "member"])
    return "member.role", {"conversation": world.room(device)[0], "user": world.user(), "role": to}


def transfer(world: World, device: Device) -> Command:
    return "conversation.transfer", {"conversation": world.room(device)[0], "user": world.user()}


def leave(world: World, device: Device) -> Command:
    return "conversation.leave", {"conversation": world.room(device)[0]}


def dissolve(world: World, device: Device) -> Command:
    return "conversation.dissolve", {"conversation": world.room(device)[0]}


def join(world: World, device: Device) -> Command:
    if world.secrets and world.rng.random() < 0.5:
        return "conversation.join", {"secret": world.rng.choice(world.secrets[-5:])}
    return "conversation.join", {"conversation": world.rng.choice([NOBODY, *sorted(world.conversations)])}


def invite(world: World, device: Device) -> Command:
    id_, _ = world.room(device)
    if world.invites and world.rng.random() < 0.2:
        return "invite.revoke", {"conversation": id_, "invite": world.rng.choice(world.invites)}
    return "invite.create", {"conversation": id_, **world.rng.choice([{}, {"uses": 1}])}


def decide(world: World, device: Device) -> Command:
    approve = world.rng.random() < 0.7
    return "join.decide", {"conversation": world.room(device)[0], "user": world.user(), "approve": approve}


def block(world: World, device: Device) -> Command:
    """Usually an existing block is removed, if there is one."""
    blocked = world.blocked.setdefault(device.account.user, [])
    if blocked and world.rng.random() < 0.67:
        return "user.unblock", {"user": blocked.pop()}
    if world.rng.random() < 0.1:
        return "user.unblock", {"user": world.user()}
    user = world.user()
    if user not in (device.account.user, NOBODY, *blocked):
        blocked.append(user)
    return "user.block", {"user": user}


def settle(world: World, device: Device) -> Command:
    rng = world.rng
    choices: list[Fields] = [
        {"muted_until": rng.choice([0, LONG_AGO, PERMANENT])}, {"archived": rng.random() < 0.5}, {"pinned": rng.random() < 0.5},
        {"hidden": rng.random() < 0.7}, {"draft": rng.choice(["", "dear", "well"])}, {"notify": rng.choice(["", "all", "none"])},
        {"draft_parts": rng.choice([{}, {"attachments": [{"url": "https://x.test/1"}]}])},
        {"labels": rng.sample(LABELS, rng.randint(0, 2))},
    ]  # fmt: skip
    return "conversation.settings", {"conversation": world.room(device)[0], **rng.choice(choices)}


def label(world: World, device: Device) -> Command:
    return "label.rename", {"label": world.rng.choice(LABELS), "to": world.rng.choice(("", *LABELS))}


def settle_all(world: World, device: Device) -> Command:
    return "user.settings", world.rng.choice(
        [{"notify": "mentions"}, {"notify": "all"}, {"show_presence": "nobody"}, {"loud": True}]
    )


def present(world: World, device: Device) -> Command:
    """Change the profile, without the name, which the partners of a match see without an event."""
    rng = world.rng
    choices: list[Fields] = [
        {"handle": rng.choice(["", "anna", "bert", "carl"])}, {"status_text": rng.choice(["", "here", "away"])},
        {"profile": rng.choice([{}, {"a": 1}])}, {"time_zone": "UTC", "handle": f"user.{rng.randint(1, 3)}"},
    ]  # fmt: skip
    return "user.update", rng.choice(choices)


def consent(world: World, device: Device) -> Command:
    """Decide who needs no request, and who is a contact."""
    name = world.rng.choice(["allow_messages", "allow_messages", "allow_groups"])
    if world.rng.random() < 0.6:
        return "user.settings", {name: world.rng.choice(["nobody", "contacts", "everybody"])}
    return world.rng.choice(["contact.add", "contact.add", "contact.remove"]), {"user": world.user()}


def answer(world: World, device: Device) -> Command:
    """Answer a request, mostly one that waits, or withdraw one of the user's own."""
    rng = world.rng
    rooms = sorted(device.mirror.rooms.items())
    asked = [(id_, room.info["requested"]) for id_, room in rooms if room.info.get("requested")]
    if asked and rng.random() < 0.2:
        id_, user = rng.choice(asked)
        return "request.withdraw", {"conversation": id_, "user": user}
    waiting, declined = device.requests
    known = waiting if waiting and rng.random() < 0.8 else declined
    id_ = rng.choice(known) if known else world.room(device)[0]
    name = rng.choice(["request.accept"] * 3 + ["request.decline"] * 3 + ["request.block"])
    return name, {"conversation": id_}


def meet(world: World, device: Device) -> Command:
    return world.rng.choice(
        ["match.find", "match.find", "match.find", "match.leave", "match.skip", "match.keep", "match.cancel"]
    ), {}


def match(world: World, device: Device) -> Command:
    """Mostly a command that can succeed: in a match to keep or end it, else to search for one."""
    rng = world.rng
    if device.proposals and rng.random() < 0.8:
        return "match.confirm", {"match": device.proposals.pop()}
    if bool(device.mirror.matches()) == (rng.random() < 0.9):
        name = rng.choice(["match.keep"] * 5 + ["match.skip"] * 3 + ["match.leave"] * 2)
        return name, {"ticket": NOBODY} if name != "match.keep" and rng.random() < 0.03 else {}
    name = rng.choice(["match.find"] * 8 + ["match.cancel", "match.status"])
    return name, {"queue": rng.choice(world.queues)} if name == "match.find" else {}


def block_partner(world: World, device: Device) -> Command:
    """By the alias of a match that is running or has ended."""
    if not device.partners:
        return block(world, device)
    blocked = world.blocked.setdefault(device.account.user, [])
    alias = world.rng.choice(device.partners[-3:])
    if alias not in blocked:
        blocked.append(alias)
    return "user.block", {"user": alias}


def report(world: World, device: Device) -> Command:
    fields: Fields = {"reason": "spam"}
    if device.partners and world.rng.random() < 0.7:
        fields["user"] = world.rng.choice(device.partners[-3:])
    else:
        fields |= world.message(device)
    return "report.create", fields


# The relative frequency of each deed.
DEEDS: dict[Deed, int] = {
    send: 30, schedule: 4, reschedule: 3, forward: 3, edit: 6, delete: 5, react: 8, unreact: 4, pin: 4, star: 4, thread: 5, receipt: 16,
    open_: 2, create: 2, describe: 5, add: 4, remove: 3, role: 3, transfer: 1, leave: 2, dissolve: 1, join: 4, invite: 2,
    decide: 2, block: 2, settle: 6, settle_all: 1, label: 2, meet: 3, consent: 3, answer: 5, present: 4,
    ask: 2, vote: 10,
}  # fmt: skip


# For a few users who write to each other, and block and unblock each other.
BLOCKING: dict[Deed, int] = {
    send: 25, receipt: 30, open_: 12, block: 12, edit: 3, delete: 3, react: 3, settle: 3, create: 1, schedule: 1, forward: 2,
    present: 3,
}  # fmt: skip

# For users who ask each other before they write or share a group, change their minds, and block each other.
CONSENT: dict[Deed, int] = {
    send: 25, receipt: 8, open_: 20, create: 3, add: 6, leave: 2, consent: 14, answer: 25, block: 4, delete: 3, schedule: 1,
    describe: 2, dissolve: 1, remove: 2,
}  # fmt: skip

# For users who search, write in the match, keep, skip or leave it, and block and report their partners.
MATCHING: dict[Deed, int] = {
    match: 40, send: 30, schedule: 2, forward: 4, edit: 5, delete: 4, react: 8, unreact: 3, pin: 2, star: 5, thread: 3, receipt: 16,
    open_: 2, create: 1, leave: 1, settle: 6, settle_all: 1, block: 3, block_partner: 2, report: 3, present: 3,
    ask: 1, vote: 4,
}  # fmt: skip


def log_in_or_out(world: World, device: Device) -> Command:
    """Commands about the logins of the user; `refresh` stands for two refreshes at once."""
    rng = world.rng
    login = rng.choice(sorted(device.logins or {NOBODY: None}) if rng.random() < 0.95 else [NOBODY])
    choices: list[Command] = [
        *[("refresh", {})] * 8, *[("login.rename", {"login": login, "name": f"n{rng.randint(1, 9)}"})] * 8,
        *[("login.end", {"login": login})] * 3, ("login.end_others", {}), ("auth.logout", {}),
    ]  # fmt: skip
    return rng.choice(choices)


# For users with a login for each device, beside a backend that changes users, groups and messages.
BACKEND: dict[Deed, int] = {
    send: 25, react: 4, delete: 2, edit: 3, thread: 4, receipt: 12, open_: 3, create: 1, add: 2, remove: 1, leave: 3, join: 2,
    settle: 3, present: 4, block: 2, ask: 1, vote: 3, schedule: 2, log_in_or_out: 14, describe: 2, star: 2,
}  # fmt: skip


def draw(world: World, device: Device) -> Command:
    """The next command of this device."""
    deeds = list(world.deeds)
    return world.rng.choices(deeds, [world.deeds[deed] for deed in deeds])[0](world, device)
