"""The first pass over an import file: checks every line, before anything is written.

A line may name what earlier lines have named, or what is in the database. It is checked in its place, so the second
pass can write the lines in batches.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from chatd.accounts.external_ids import user_id_of
from chatd.conversations.messages.attachments import is_web_url
from chatd.conversations.messages.buttons import checked
from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config
from chatd.core.emoji import is_emoji
from chatd.core.errors import Refused
from chatd.core.text_forms import is_blank
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.importing.files import NO_FILES, Source
from chatd.importing.known import Kind, Known, KnownConversation, key_of, member_key, message_id_of, pair_key
from chatd.importing.lines import (
    AnyLine,
    AttachmentLine,
    BadLine,
    ConversationLine,
    MemberLine,
    MessageLine,
    Numbered,
    ReactionLine,
    ReadLine,
    UserLine,
    conversation_of,
    decode,
    millis,
    tag_of,
)
from chatd.server_api.external_ids import conversation_id_of
from chatd.wire.validation import untyped_fields

SQL = queries.load("importing/importing")
MAX_ERRORS = 100
MAX_DEPTH = 16
# The clock of the other product may be ahead.
CLOCK_TOLERANCE_MS = 60_000
ANOTHER_ID = "the two have a direct conversation with another id"


class LineError(Struct, frozen=True):
    """A line that cannot be imported, and why."""

    line: int
    message: str


class Checker:
    """Checks the lines of a file, a batch at a time. `errors` has the first `MAX_ERRORS`, `failed` their number."""

    def __init__(self, db: Postgres, config: Config, tenant: str, now: int, source: Source = NO_FILES) -> None:
        self._db = db
        self._tenant = tenant
        self._source = source
        self._now = now
        self._max_text = config.limits.text_bytes
        self._limits = config.get(ConversationLimits)
        self.known = Known()
        self.errors: list[LineError] = []
        self.failed = 0
        self.counts: dict[str, int] = {}
        # Direct conversations of the next lines that cannot be imported, and why.
        self._taken: dict[str, str] = {}

    async def check(self, lines: Sequence[Numbered]) -> None:
        """Check the next lines of the file. Raises Refused if the database is unavailable."""
        decoded = [(line, value) for line in lines if (value := self._decoded(line)) is not None]
        await self._look_up([value for _, value in decoded])
        in_database = await self._existing_messages([value for _, value in decoded])
        for line, value in decoded:
            try:
                untyped_fields(type(value)).check(value, MAX_DEPTH, nul=b"\\u0000" in line.data)
                CHECKS[type(value)](self, value, in_database)
            except (BadLine, Refused) as error:
                self._fail(line.number, error.message if isinstance(error, Refused) else str(error))
            else:
                self.counts[tag_of(value)] = self.counts.get(tag_of(value), 0) + 1
        self.known.flush()

    def _decoded(self, line: Numbered) -> AnyLine | None:
        try:
            return decode(line)
        except BadLine as error:
            self._fail(line.number, str(error))
            return None

    def _fail(self, line: int, message: str) -> None:
        self.failed += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(LineError(line, message))

    async def _look_up(self, values: Sequence[AnyLine]) -> None:
        """Find the users, conversations and members that these lines name, and that no line before has named."""
        await self._look_up_users(values)
        unknown = self.known.load(name for value in values if (name := conversation_of(value)) is not None)
        for row in await self._db.all(SQL.conversations, self._tenant, unknown) if unknown else ():
            self.known.conversations[row["external_id"]] = KnownConversation(
                row["id"], row["kind"], row["last_at"], row["owner"], row["members"]
            )
        await self._look_up_pairs([value for value in values if isinstance(value, ConversationLine)])
        await self._look_up_members(values)

    async def _look_up_pairs(self, values: Sequence[ConversationLine]) -> None:
        """Find the direct conversations of the database that these lines name by their members."""
        self._taken = {}
        lines = {}
        for value in values:
            users = sorted({self._user_or_none(name) or "" for name in value.members})
            if value.kind == "direct" and value.id not in self.known.conversations and len(users) == 2 and users[0]:
                lines[tuple(users)] = value.id
        if not lines:
            return
        rows = await self._db.all(SQL.direct_conversations, self._tenant, *map(list, zip(*lines, strict=True)))
        for row in rows:
            external_id = lines[row["low"], row["high"]]
            if row["is_request"]:
                self._taken[external_id] = "one of them has not accepted the direct conversation of the two yet"
            elif row["external_id"] is None:
                self.known.conversations[external_id] = KnownConversation(row["id"], "direct", row["last_at"], None, 2)
            else:
                self._taken[external_id] = ANOTHER_ID

    async def _look_up_users(self, values: Sequence[AnyLine]) -> None:
        names = [name for value in values for name in users_of(value)]
        ids = {key_of(id_): id_ for name in names if (id_ := self._user_or_none(name)) is not None}
        unknown = [ids[key] for key in self.known.missing(Kind.USER, ids)]
        if not unknown:
            return
        rows = await self._db.all(SQL.users, self._tenant, unknown)
        self.known.add(Kind.USER, [key_of(row["id"]) for row in rows if not row["is_erased"]])
        self.known.add(Kind.ERASED_USER, [key_of(row["id"]) for row in rows if row["is_erased"]])

    async def _look_up_members(self, values: Sequence[AnyLine]) -> None:
        """Find the members of conversations of the database that these lines name."""
        pairs: list[tuple[str, str]] = []
        for value in values:
            conversation = self.known.conversations.get(conversation_of(value) or "")
            if conversation is None or not conversation.members:
                continue
            users = (self._user_or_none(name) for name in members_of(value))
            pairs += [(conversation.id, user) for user in users if user is not None]
        pairs = [pair for pair in dict.fromkeys(pairs) if not self.known.has(Kind.MEMBER, member_key(*pair))]
        if pairs:
            rows = await self._db.all(SQL.members, self._tenant, *map(list, zip(*pairs, strict=True)))
            self.known.add(Kind.MEMBER, [member_key(row["conversation"], row["user"]) for row in rows])

    async def _existing_messages(self, values: Sequence[AnyLine]) -> set[str]:
        """The messages that these lines name, and that are in the database."""
        pairs: list[tuple[str, str]] = []
        for value in values:
            conversation = self.known.conversations.get(conversation_of(value) or "")
            if conversation is not None:
                pairs += [(conversation.id, message_id_of(conversation.id, name)) for name in messages_of(value)]
        pairs = [pair for pair in dict.fromkeys(pairs) if not self.known.has(Kind.MESSAGE, key_of(pair[1]))]
        if not pairs:
            return set()
        rows = await self._db.all(SQL.messages, self._tenant, *map(list, zip(*pairs, strict=True)))
        return {row["id"] for row in rows}

    def _user_or_none(self, name: str) -> str | None:
        try:
            return user_id_of(self._tenant, name)
        except ValueError:
            return None

    def user(self, name: str, field: str) -> str:
        """The id of a user. Raises BadLine if there is no such user."""
        try:
            id_ = user_id_of(self._tenant, name)
        except ValueError as error:
            raise BadLine(f"$.{field}: {error}") from None
        if not self.known.has(Kind.USER, key_of(id_)):
            raise BadLine(f"$.{field}: no line before, and no user, has the id {name!r}")
        return id_

    def conversation(self, name: str) -> KnownConversation:
        """A conversation. Raises BadLine if there is none."""
        found = self.known.conversations.get(name)
        if found is None:
            raise BadLine(f"$.conversation: no line before, and no conversation, has the id {name!r}")
        return found

    def member(self, conversation: KnownConversation, name: str, field: str) -> str:
        """The id of a member. Raises BadLine."""
        user = self.user(name, field)
        if not self.known.has(Kind.MEMBER, member_key(conversation.id, user)):
            raise BadLine(f"$.{field}: {name!r} is not a member of the conversation")
        return user

    def time(self, time: Any, field: str) -> int | None:
        """A time in the past. Raises BadLine."""
        if time is None:
            return None
        at = millis(time, field)
        if at > self._now + CLOCK_TOLERANCE_MS:
            raise BadLine(f"$.{field}: expected a time in the past")
        return at

    def message(self, conversation: KnownConversation, name: str, field: str, in_database: set[str]) -> None:
        """Check that a message exists. Raises BadLine."""
        id_ = message_id_of(conversation.id, name)
        if id_ not in in_database and not self.known.has(Kind.MESSAGE, key_of(id_)):
            raise BadLine(f"$.{field}: no line before, and no message of the conversation, has the id {name!r}")

    def check_user(self, line: UserLine, _: set[str]) -> None:
        try:
            id_ = user_id_of(self._tenant, line.id)
        except ValueError as error:
            raise BadLine(f"$.id: {error}") from None
        if self.known.has(Kind.ERASED_USER, key_of(id_)):
            raise BadLine(f"$.id: the user {line.id!r} was erased, and the id is not used again")
        if line.picture_url and not is_web_url(line.picture_url):
            raise BadLine("$.picture_url: expected an http or https address")
        self.time(line.created_at, "created_at")
        self.known.add(Kind.USER, [key_of(id_)])

    def check_conversation(self, line: ConversationLine, _: set[str]) -> None:
        if len(line.id.encode()) > 255:
            raise BadLine("$.id: expected at most 255 bytes")
        self.time(line.created_at, "created_at")
        users = [self.user(name, "members") for name in line.members]
        if line.creator is not None:
            self.user(line.creator, "creator")
        if line.kind == "direct" and (len(set(users)) != 2 or line.title or line.description):
            raise BadLine("$.members: expected the two members of a direct conversation, and no title or description")
        known = self.opened(line, sorted(set(users)))
        for user in users:
            self.join(known, user)

    def opened(self, line: ConversationLine, users: Sequence[str]) -> KnownConversation:
        """The conversation of a line, new or known. Raises BadLine."""
        known = self.known.conversations.get(line.id)
        if known is not None and known.kind != line.kind:
            raise BadLine(f"$.id: it is the id of another conversation, a {known.kind} one")
        if known is not None:
            for name in line.members if line.kind == "direct" else ():
                self.member(known, name, "members")
            return known
        if line.kind == "direct":
            pair = pair_key(*users)
            taken = ANOTHER_ID if self.known.has(Kind.PAIR, pair) else self._taken.get(line.id)
            if taken is not None:
                raise BadLine(f"$.members: {taken}")
            self.known.add(Kind.PAIR, [pair])
        known = KnownConversation(conversation_id_of(self._tenant, line.id), line.kind)
        self.known.conversations[line.id] = known
        return known

    def join(self, conversation: KnownConversation, user: str) -> None:
        """Note a member. Raises BadLine for too many."""
        key = member_key(conversation.id, user)
        if self.known.has(Kind.MEMBER, key):
            return
        if conversation.members >= self._limits.members:
            raise BadLine(f"$.conversation: a group has at most {self._limits.members} members")
        conversation.members += 1
        self.known.add(Kind.MEMBER, [key])

    def check_member(self, line: MemberLine, _: set[str]) -> None:
        conversation, user = self.conversation(line.conversation), self.user(line.user, "user")
        if conversation.kind != "group":
            raise BadLine("$.conversation: members of a direct conversation are in its own line")
        if line.role == "owner":
            if conversation.owner not in (None, user):
                raise BadLine("$.role: the group has an owner already")
            conversation.owner = user
        self.time(line.joined_at, "joined_at")
        self.join(conversation, user)

    def check_message(self, line: MessageLine, in_database: set[str]) -> None:
        conversation = self.conversation(line.conversation)
        if line.sender is not None:
            self.user(line.sender, "sender")
        for name in line.mentions:
            self.user(name, "mentions")
        if line.reply_to is not None:
            self.message(conversation, line.reply_to, "reply_to", in_database)
        self.check_content(line)
        at = self.time(line.created_at, "created_at") or 0
        for field, later in (("edited_at", line.edited_at), ("deleted_at", line.deleted_at)):
            if (self.time(later, field) or at) < at:
                raise BadLine(f"$.{field}: expected a time after created_at")
        id_ = message_id_of(conversation.id, line.id)
        if self.known.has(Kind.MESSAGE, key_of(id_)):
            raise BadLine(f"$.id: a line before has the message {line.id!r} of this conversation")
        if id_ not in in_database:
            if at < conversation.last_at:
                raise BadLine(
                    "$.created_at: the conversation has a later message; messages are imported in the order of time, "
                    "and only after those that it has"
                )
            conversation.last_at = at
        self.known.add(Kind.MESSAGE, [key_of(id_)])

    def check_content(self, line: MessageLine) -> None:
        """Check the content of a message. Raises BadLine."""
        if line.deleted_at is None and not line.attachments and is_blank(line.text or ""):
            raise BadLine("$: expected a visible text, an attachment or deleted_at")
        if len((line.text or "").encode()) > self._max_text:
            raise BadLine(f"$.text: expected at most {self._max_text} bytes in UTF-8")
        size = sum(len(msgspec.json.encode(value)) for value in (line.meta, line.attachments, line.actions) if value)
        if size > (most := self._limits.payload_bytes):
            raise BadLine(f"$: expected at most {most} bytes in meta, attachments and actions together")
        if line.actions and line.sender is None:
            raise BadLine("$.actions: expected a sender, to whom pressed buttons go")
        try:
            checked(line.actions)
        except Refused as refused:
            raise BadLine(refused.message) from None
        for index, one in enumerate(line.attachments):
            self.check_attachment(line, one, f"$.attachments[{index}]")

    def check_attachment(self, line: MessageLine, one: AttachmentLine, field: str) -> None:
        """Check a link, or that its file exists. Raises BadLine."""
        if bool(one.url) == bool(one.file) or (one.name and not one.file):
            raise BadLine(f"{field}: expected either url, or file with an optional name")
        if one.url and not is_web_url(one.url):
            raise BadLine(f"{field}.url: expected an http or https address")
        if one.file:
            if line.sender is None:
                raise BadLine(f"{field}.file: a message of the system has no files: they belong to the sender")
            self._source.check(one.file, f"{field}.file")

    def check_reaction(self, line: ReactionLine, in_database: set[str]) -> None:
        conversation = self.conversation(line.conversation)
        self.user(line.user, "user")
        self.message(conversation, line.message, "message", in_database)
        if not is_emoji(line.emoji):
            raise BadLine("$.emoji: expected one emoji, or the :name: of one")
        self.time(line.created_at, "created_at")

    def check_read(self, line: ReadLine, in_database: set[str]) -> None:
        conversation = self.conversation(line.conversation)
        self.member(conversation, line.user, "user")
        if line.message is not None:
            self.message(conversation, line.message, "message", in_database)


CHECKS: dict[type[Any], Callable[[Checker, Any, set[str]], None]] = {
    UserLine: Checker.check_user,
    ConversationLine: Checker.check_conversation,
    MemberLine: Checker.check_member,
    MessageLine: Checker.check_message,
    ReactionLine: Checker.check_reaction,
    ReadLine: Checker.check_read,
}


def users_of(line: AnyLine) -> list[str]:
    """The users that a line names."""
    match line:
        case UserLine():
            return [line.id]
        case ConversationLine():
            return [*line.members, *([line.creator] if line.creator else [])]
        case MessageLine():
            return [*line.mentions, *([line.sender] if line.sender else [])]
    return [line.user]


def members_of(line: AnyLine) -> list[str]:
    """The users that a line names as members."""
    match line:
        case ConversationLine():
            return line.members
        case MemberLine() | ReadLine():
            return [line.user]
    return []


def messages_of(line: AnyLine) -> list[str]:
    """The messages that a line names."""
    match line:
        case MessageLine():
            return [line.id, *([line.reply_to] if line.reply_to else [])]
        case ReactionLine():
            return [line.message]
        case ReadLine():
            return [line.message] if line.message else []
    return []
