"""The state of a user's conversations in an app, and the rules that keep it equal to the server's. Pure: no network, no
clock.

Authors of clients can read this as the rules of the protocol. The state is merged from three sources, so that old state
and changes equal what a fresh client would read:

* `session.sync` from the last cursor: conversations that changed, conversations that are gone, and the user's own data
  (settings, stars, hidden messages, blocks, contacts, requests).
* `conversation.sync` from the last rev: the changes of one conversation, as states.
* Events, in the order of delivery, and the answers to the user's own commands.

The rules:

1. Every change that members share has the next `rev` of its conversation. Drop a rev that is not greater than the known
   one. Apply the next one. A greater one shows a gap: drop it, and mark the conversation `behind`: call
   conversation.sync until it has no `more`. The event `behind` does the same.
2. The user's own data has no rev. After `session.behind`, and after a command for oneself that is answered with `ok`,
   the state is `stale`: call session.sync.
3. Events wait while a sync is in flight, and are applied after it. Only one command or sync at a time. A connection
   begins with a session.sync; if the last one ended between two pages, from the cursor of the last complete one. A
   command between two pages that makes the state `stale` needs another session.sync after the last page: marks come
   with the first page only.
4. A new conversation needs both: its own data comes by session.sync, the rest by conversation.sync from rev 0.
5. If `joined_at` or `first_seq` of the user's own membership changed, the user left and returned, perhaps to see less
   or more: drop the conversation and start from rev 0.
6. A quote is a view of a message, not a text of its own. If the message changes, so does the quote; a message that is
   hidden or not visible has no quote.
7. Events carry what all members share, never the user's own stars, reactions and votes: keep these, except for the
   user's own reaction events, `poll.voted` and the answer to the user's own vote. These two have the `rev` of the
   message with the vote: drop a vote that is not later than the known one.
8. Drop an update of an unknown message: it is hidden, or has not been loaded.
9. Unread messages are those of others after the user's `read_seq`, without system, deleted and hidden messages.
10. The user's own positions come from four sources, and the highest one counts: events with a rev,
    `conversation.update` without one, session.sync, and the answer `ok` to the user's own receipt. In a direct
    conversation with a block, and in large groups, there is no event with a rev. After a receipt under id 0, which gets
    no `ok`, session.sync has them.
11. The members of a match have aliases in the place of user ids, also for themselves: as `sender`, `by` and `user`, in
    mentions, members and departures. The user's own is `alias` of `match.found` and of the state in session.sync;
    elsewhere it is the user id. So compare with `alias ?? user`, and mention the partners by the ids of the members.
12. After `match.kept`, or when the state in session.sync has no `alias` any more, the members have user ids, also in old
    messages, and no rev shows it: drop the conversation and start from rev 0. After `match.ended`, and after the answer
    to match.leave or match.skip, session.sync lists the conversation in `gone`.
13. The profile of a user has no rev in a conversation. It comes with members, in `user.updated` and in the answers of
    user.query and user.update: show the one with the highest `profile_version`. After each connect and after
    `session.behind`, call user.query for the users that are shown, with the cursor of the last such query.
"""

from dataclasses import replace

from tests.property.room import Given, Json, Room, quoting, sent

# Answered with `ok`; the user's other devices get `session.behind`.
OWN = (
    "message.star",
    "message.unstar",
    "message.delete",
    "user.block",
    "user.unblock",
    "contact.add",
    "contact.remove",
    "request.block",
    "request.decline",
    "schedule.cancel",
    "match.leave",
    "match.skip",
    "match.keep",
)
RECEIPTS = ("receipt.read", "receipt.delivered")
# What members and users have of a profile.
PROFILE = ("name", "handle", "avatar", "picture_url", "profile_version")
# Events after which session.sync has the new state of the conversation.
MATCHES = ("match.found", "match.ended", "match.kept")


class Mirror:
    """The state of one user on one device. `behind` and `stale` say what has to be asked."""

    def __init__(self, user: str) -> None:
        self.user = user
        # Of the last page of session.sync, and of the last one without `more`.
        self.cursor: str | None = None
        self.finished: str | None = None
        self.rooms: dict[str, Room] = {}
        self.behind: set[str] = set()
        self.stale = True
        # Whether it became stale between two pages of session.sync.
        self._stale_after = False
        # Whether to call user.settings, block.list, contact.list, request.list and schedule.list.
        self.own = True
        # Profiles of users, the cursor of the last user.query, and whether another one is needed.
        self.profiles: dict[str, Json] = {}
        self.profile_cursor: str | None = None
        self.stale_profiles = True

    # --- what to request ---------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """A connection begins."""
        self.cursor, self.stale, self._stale_after = self.finished, True, False
        self.stale_profiles = True

    def session_request(self) -> Json:
        """The fields of the next session.sync."""
        if self.cursor == self.finished:
            self._stale_after = False
        return {"cursor": self.cursor} if self.cursor else {}

    def _need_session_sync(self) -> None:
        self.stale = self._stale_after = True

    def _fall_behind(self, id_: str, rev: int) -> None:
        room = self.rooms[id_]
        room.top = max(room.top, rev)
        if room.top > room.rev:
            self.behind.add(id_)

    def forget(self, id_: str) -> None:
        """Drop a conversation that the user has lost."""
        self.rooms.pop(id_, None)
        self.behind.discard(id_)

    def _begin(self, id_: str) -> None:
        """Start a conversation without any known state."""
        self.rooms[id_] = Room()
        self.behind.add(id_)
        self._need_session_sync()

    def _begin_again(self, id_: str, alias: str | None) -> Room:
        """Start again from rev 0. The data of session.sync may be newer, and is kept."""
        room = replace(self.rooms[id_], alias=alias, rev=0, members={}, departures={}, messages={})
        self.rooms[id_] = room
        self.behind.add(id_)
        return room

    # --- session.sync ---------------------------------------------------------------------------------------------

    def take_states(self, page: Given) -> None:
        """Merge a page of session.sync."""
        for id_ in page["gone"]:
            self.forget(id_)
        for state in page["conversations"]:
            self._take_state(state)
        for mark in page["marks"]:
            self._take_mark(mark)
        self.own = self.own or page["own"]
        self.cursor = page["cursor"]
        self.stale = page["more"] or self._stale_after
        if not page["more"]:
            self.finished = self.cursor

    def _take_state(self, state: Given) -> None:
        alias = state.get("alias")
        room = self.rooms.setdefault(state["id"], Room(alias))
        if room.first_seq not in (0, state["first_seq"]) or room.alias != alias:
            room = self._begin_again(state["id"], alias)
        room.kind, room.first_seq = state["kind"], state["first_seq"]
        room.learn_own(state)
        room.learn_info(state)
        self._move_own(state)
        self._fall_behind(state["id"], state["rev"])

    def _take_mark(self, mark: Given) -> None:
        room = self.rooms.get(mark["conversation"])
        message = room.messages.get(mark["seq"]) if room else None
        if room is None or message is None:
            return
        if mark["hidden"]:
            room.drop(mark["seq"])
        elif mark["starred_at"] is None:
            message.pop("starred_at", None)
        else:
            message["starred_at"] = mark["starred_at"]

    # --- conversation.sync ----------------------------------------------------------------------------------------

    def take_changes(self, id_: str, page: Given) -> None:
        """Merge a page of conversation.sync from the room's rev. Refused with `not_found`: drop the room."""
        room = self.rooms[id_]
        if any(self._is_another_life(room, member) for member in page["members"]):
            self._begin_again(id_, room.alias)
            self._need_session_sync()
            return
        for message in page["messages"]:
            room.put_own(message)
        for departure in page["departures"]:
            room.leave(departure)
        for member in page["members"]:
            room.enter(member)
        if "info" in page:
            room.learn_info(page["info"])
        room.rev = max(room.rev, page["rev"])
        if not page["more"] and room.rev >= room.top:
            self.behind.discard(id_)

    def _is_another_life(self, room: Room, member: Given) -> bool:
        known = room.members.get(self._own_id(room))
        return known is not None and known["user"] == member["user"] and known["joined_at"] != member["joined_at"]

    def _own_id(self, room: Room) -> str:
        return room.own_id(self.user)

    # --- events ---------------------------------------------------------------------------------------------------

    def take(self, event: Given) -> None:
        """Merge an event. Events that are not about conversations are ignored."""
        kind = event["t"]
        if kind == "session.behind" or kind in MATCHES:
            self._need_session_sync()
        if kind == "session.behind":
            self.stale_profiles = True
        if kind == "user.updated":
            self.learn_profile(event["user"])
        self.own = self.own or kind == "request.new"
        if kind == "match.found":
            self._found(event["conversation"], event["alias"])
        elif kind == "match.kept" and event["conversation"] in self.rooms:
            self._begin_again(event["conversation"], None)
        elif kind == "conversation.gone":
            self.forget(event["conversation"])
        elif kind == "poll.voted" and event["conversation"] in self.rooms:
            self.rooms[event["conversation"]].vote(event["message"], event["options"], event["vote_rev"])
        elif kind == "conversation.update" and "rev" not in event:
            self.learn(event["conversation"])
        elif "rev" in event:
            self._take_shared(event)

    def _found(self, id_: str, alias: str) -> None:
        """Add the conversation of a match. The event may come twice."""
        if id_ not in self.rooms:
            self._begin(id_)
            self.rooms[id_].alias = alias

    def learn(self, conversation: Given) -> None:
        """Add a conversation that may be new."""
        if conversation["id"] not in self.rooms:
            self._begin(conversation["id"])
        elif "read_seq" in conversation:
            self._move_own(conversation)

    def _move_own(self, conversation: Given) -> None:
        """Update the user's own positions, unless they belong to another membership."""
        room = self.rooms[conversation["id"]]
        if room.first_seq in (0, conversation["first_seq"]):
            room.move(self._own_id(room), conversation["delivered_seq"], conversation["read_seq"])

    def _take_shared(self, event: Given) -> None:
        id_ = event["conversation"]["id"] if event["t"] == "conversation.update" else event["conversation"]
        room = self.rooms.get(id_)
        if room is None or event["rev"] <= room.rev:
            return
        is_last = event["rev"] >= room.top
        if event["t"] == "behind" or id_ in self.behind or event["rev"] > room.rev + 1:
            self._fall_behind(id_, event["rev"])
            if is_last and event["t"] == "member.left" and event["departure"]["user"] == self._own_id(room):
                self.forget(id_)
            return
        room.rev = event["rev"]
        self._apply(id_, room, event)

    def _apply(self, id_: str, room: Room, event: Given) -> None:
        match event["t"]:
            case "message.new":
                room.put(event["message"])
            case "message.update":
                self._update(room, event)
            case "message.delivered":
                room.move(event["user"], event["seq"], 0, event["rev"])
            case "message.read":
                room.move(event["user"], event.get("delivered", 0), event["seq"], event["rev"])
            case "thread.update":
                room.update_thread(event)
            case "member.update":
                room.enter(event["member"])
            case "member.left":
                room.leave(event["departure"])
                if event["departure"]["user"] == self._own_id(room):
                    self.forget(id_)
            case "conversation.update":
                room.learn_info(event["conversation"])
            case other:
                raise AssertionError(f"an event with a rev that nobody knows: {other}")

    def _update(self, room: Room, event: Given) -> None:
        known = room.messages.get(event["message"]["seq"])
        if known is None:
            return
        mine = list(known.get("mine", ()))
        if event["change"] == "reaction" and event["by"] == self._own_id(room):
            mine = [emoji for emoji in mine if emoji != event["emoji"]] + [event["emoji"]] * event["on"]
        star = {"starred_at": known["starred_at"]} if "starred_at" in known else {}
        own = {"mine": mine} if mine and "deleted_at" not in event["message"] else {}
        voted = {"voted": known["voted"]} if "voted" in known and "poll" in event["message"] else {}
        room.put({**event["message"], **star, **own, **voted})

    # --- profiles -------------------------------------------------------------------------------------------------

    def shown_users(self) -> list[str]:
        """The users whose profiles are shown. In a match, members have aliases."""
        return sorted({user for room in self.rooms.values() if not room.alias for user in room.members})

    def learn_profile(self, user: Given) -> None:
        """Keep the newest profile of a user."""
        profile = {name: user[name] for name in PROFILE}
        known = self.profiles.setdefault(user["id"], profile)
        if profile["profile_version"] > known["profile_version"]:
            self.profiles[user["id"]] = profile

    def take_profiles(self, page: Given) -> None:
        """Merge the answer to user.query."""
        for user in page["items"]:
            self.learn_profile(user)
        self.profile_cursor, self.stale_profiles = page["cursor"], False

    def _with_profile(self, member: Json) -> Json:
        known = self.profiles.get(member["user"])
        return member | known if known and known["profile_version"] > member["profile_version"] else member

    # --- answers --------------------------------------------------------------------------------------------------

    def answered(self, command: Given, result: Given) -> None:
        """Apply the user's own command. Commands whose events reach the sender need nothing here."""
        match result["t"]:
            case "message.ack":
                self._acked(command, result)
            case "message.forwarded" | "poll.ack" if command["conversation"] in self.rooms:
                self._fall_behind(command["conversation"], result["rev"])
            case "message" if command["t"] == "poll.vote" and command["conversation"] in self.rooms:
                message = result["message"]
                self.rooms[command["conversation"]].vote(message["id"], message.get("voted", []), message["rev"])
            case "request.accepted":
                self.own = True
                self.learn(result["conversation"])
            case "conversation" | "conversation.joined" if result["conversation"] is not None:
                self.learn(result["conversation"])
            case "conversation.settings" if command["conversation"] in self.rooms:
                self.rooms[command["conversation"]].learn_own(result["conversation"])
            case "labels":
                self._need_session_sync()
            case "ok" if command["t"] in OWN:
                self._need_session_sync()
            case "ok" if command["t"] in RECEIPTS and command["conversation"] in self.rooms:
                read = command["seq"] if command["t"] == "receipt.read" else 0
                room = self.rooms[command["conversation"]]
                room.move(self._own_id(room), command["seq"], read)
            case "user":
                self.learn_profile(result["user"])
            case "user.settings" | "message.scheduled" | "schedule.edit":
                self.own = True

    def sent_unanswered(self, command: str) -> None:
        """Note a command under id 0. Nothing says whether a receipt moved the user's own positions."""
        if command in RECEIPTS:
            self._need_session_sync()

    def _acked(self, command: Given, ack: Given) -> None:
        """The ack has the message's position. What it lacks (its expiry) is requested."""
        room = self.rooms.get(command["conversation"])
        if room is None or ack["rev"] <= room.rev:
            return
        if command["conversation"] in self.behind or ack["rev"] > room.rev + 1 or room.info.get("disappear"):
            self._fall_behind(command["conversation"], ack["rev"])
            return
        room.rev = ack["rev"]
        room.put(sent(room, self.user, command, ack))

    def matches(self) -> list[str]:
        """The conversations that are matches."""
        return [id_ for id_, room in self.rooms.items() if room.alias]

    # --- what the app shows ------------------------------------------------------------------------------------------

    def view(self) -> dict[str, Json]:
        """Every conversation, with all derived values."""
        return {id_: self._view(room) for id_, room in self.rooms.items()}

    def _view(self, room: Room) -> Json:
        me = room.members.get(self._own_id(room), {})
        unread = [
            message for message in room.messages.values() if self._is_unread(room, message, me.get("read_seq", 0))
        ]
        return {
            "kind": room.kind,
            "seq": room.seq,
            "rev": room.rev,
            "info": room.info,
            "member_count": len(room.members),
            "role": me.get("role"),
            "read_seq": me.get("read_seq"),
            "delivered_seq": me.get("delivered_seq"),
            "unread": len(unread),
            "mentions": sum(self._is_mentioned(room, message) for message in unread),
            "settings": {**room.settings, "hidden": room.hidden_seq >= room.seq},
            "members": {user: self._with_profile(member) for user, member in room.members.items()},
            "departures": room.departures,
            "messages": {
                seq: quoting(message, room.messages.values()) for seq, message in sorted(room.messages.items())
            },
        }

    def _is_unread(self, room: Room, message: Given, read_seq: int) -> bool:
        written = "system" not in message and "deleted_at" not in message
        return message["seq"] > read_seq and message["sender"] != self._own_id(room) and written

    def _is_mentioned(self, room: Room, message: Given) -> bool:
        return self._own_id(room) in message.get("mentions", ()) or message.get("mentions_everybody", False)
