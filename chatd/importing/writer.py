"""The second pass over an import file: writes checked lines in batches, each with the progress in one transaction.

Within a batch the lines are written by type, users first: a line names only lines before it, and what these types need
is in the types before them. Conversations are locked as the message log does, so live messages and imported ones are
numbered one after the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from chatd.accounts.external_ids import external_id_of, user_id_of
from chatd.app.audit_log import AuditActor
from chatd.conversations.button_types import Button
from chatd.conversations.entities import Json
from chatd.conversations.log.transaction import SYSTEM_USER
from chatd.conversations.messages.buttons import checked, stored_buttons
from chatd.core.emoji import canonical
from chatd.core.errors import OperatorError
from chatd.core.text_forms import name_form, prose_form
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.jsonb import to_jsonb
from chatd.db.postgres import Postgres, Tx
from chatd.importing.files import FileStore, NamedFile, upload_id_of
from chatd.importing.known import Known, message_id_of
from chatd.importing.lines import (
    AnyLine,
    ConversationLine,
    MemberLine,
    MessageLine,
    ReactionLine,
    ReadLine,
    Time,
    UserLine,
    conversation_of,
    millis,
)
from chatd.outbox.consumers import silence

SQL = queries.load("importing/importing")
FILES_SQL = queries.load("importing/files")
Rows = list[tuple[Any, ...]]


class Disturbed(OperatorError):
    """Another import of the file runs at the same time, or a conversation was changed between the passes."""


class Progress(Struct, frozen=True):
    """How far a file is imported: lines, and bytes."""

    lines: int = 0
    position: int = 0
    finished_at: int | None = None


class Batch(Struct):
    """The rows of a batch, by table, as the columns of their statements. `uploads`: which messages use them. `changed`:
    its conversations.
    """

    users: Rows
    conversations: Rows
    names: Rows
    members: Rows
    messages: Rows
    reactions: Rows
    reads: Rows
    uploads: Rows
    changed: list[str]


class Written(Struct):
    """The number of rows that were new."""

    users: int = 0
    conversations: int = 0
    members: int = 0
    messages: int = 0
    reactions: int = 0
    reads: int = 0
    files: int = 0

    def add(self, other: "Written") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Writer:
    """Writes the lines of one file for one tenant. `known`: from the first pass."""

    def __init__(
        self, db: Postgres, actor: AuditActor, digest: bytes, known: Known, files: FileStore | None = None
    ) -> None:
        self._db = db
        self._actor = actor
        self._tenant = actor.tenant
        self.digest = digest
        self._known = known
        self._files = files

    async def begin(self) -> Progress:
        """Begin the import, or find how far it is. Raises Refused."""
        await self._db.run(SQL.begin, self._tenant, self.digest, self._actor.name, self._actor.now)
        row = await self._db.one(SQL.progress, self._tenant, self.digest)
        assert row is not None
        return Progress(**dict(row))

    async def write(self, lines: Sequence[AnyLine], before: Progress, after: Progress) -> tuple[Written, list[str]]:
        """Write a batch and the progress. Returns the number of new rows, and the changed conversations.

        Raises Refused; Disturbed if the progress is not `before`.
        """
        self._known.load(name for line in lines if (name := conversation_of(line)) is not None)
        early, attachments = await self._store_files(lines)
        batch = self.batch_of(lines, attachments)
        step = (before.position, after.position, after.lines, after.finished_at)
        written = await self._db.in_transaction(write_batch, self._tenant, self.digest, batch, step)
        written.users += early
        return written, batch.changed

    async def _store_files(self, lines: Sequence[AnyLine]) -> tuple[int, dict[str, Json]]:
        """Store the files of messages that do not exist, and before them the users, to whom they belong. Returns the
        number of new users, and the attachments by the ids of their uploads. Raises Refused, OperatorError.
        """
        messages = {
            (conversation, message_id_of(conversation, line.id)): line
            for line in lines
            if isinstance(line, MessageLine) and line.deleted_at is None and any(one.file for one in line.attachments)
            for conversation in [self.conversation(line.conversation)]
        }
        if not messages:
            return 0, {}
        assert self._files is not None
        rows = await self._db.all(SQL.messages, self._tenant, *columns(list(messages)))
        existing = {row["id"] for row in rows}
        files = [
            NamedFile(upload_id_of(message, index), self.user(line.sender or ""), one)
            for (_, message), line in messages.items()
            if message not in existing
            for index, one in enumerate(line.attachments)
            if one.file
        ]
        users = [self.user_row(line) for line in lines if isinstance(line, UserLine)]
        early = await self._db.in_transaction(write_users, self._tenant, users) if users else 0
        return early, await self._files.store(files) if files else {}

    def batch_of(self, lines: Sequence[AnyLine], attachments: Mapping[str, Json]) -> Batch:
        """The rows of these lines, whose conversations are loaded. `attachments`: files by the ids of their uploads."""
        batch = Batch([], [], [], [], [], [], [], [], [])
        for line in lines:
            match line:
                case UserLine():
                    batch.users.append(self.user_row(line))
                case ConversationLine():
                    self.add_conversation(batch, line)
                case MemberLine():
                    conversation, user = self.conversation(line.conversation), self.user(line.user)
                    batch.members.append((conversation, user, line.role, self.time(line.joined_at)))
                case MessageLine():
                    batch.messages.append(self.message_row(batch, line, attachments))
                case ReactionLine():
                    batch.reactions.append(self.reaction_row(line))
                case ReadLine():
                    conversation = self.conversation(line.conversation)
                    message = None if line.message is None else message_id_of(conversation, line.message)
                    batch.reads.append((conversation, self.user(line.user), message))
        self._known.conversations.clear()
        named = (row[0] for rows in (batch.members, batch.messages, batch.reactions, batch.reads) for row in rows)
        batch.changed = list(dict.fromkeys(named))
        batch.members = list({row[:2]: row for row in batch.members}.values())
        return batch

    def conversation(self, name: str) -> str:
        return self._known.conversations[name].id

    def user(self, name: str) -> str:
        return user_id_of(self._tenant, name)

    def time(self, time: Time | None) -> int:
        """A time in milliseconds; that of the import if there is none."""
        return self._actor.now if time is None else millis(time, "")

    def user_row(self, line: UserLine) -> tuple[Any, ...]:
        name = name_form(line.name or "") or None
        roles = to_jsonb(list(dict.fromkeys(line.roles)))
        profile = (name, line.picture_url or None, line.locale or None, roles)
        return (self.user(line.id), external_id_of(line.id), *profile, self.time(line.created_at))

    def add_conversation(self, batch: Batch, line: ConversationLine) -> None:
        id_, users = self.conversation(line.id), list(dict.fromkeys(map(self.user, line.members)))
        low, high = sorted(users) if line.kind == "direct" else (None, None)
        creator = None if line.creator is None else self.user(line.creator)
        texts = (name_form(line.title or "") or None, prose_form(line.description or "") or None)
        at = self.time(line.created_at)
        batch.conversations.append((id_, line.id, line.kind, *texts, creator, low, high, at))
        batch.names.append((id_, line.id))
        batch.members += [(id_, user, "member", at) for user in users]

    def message_row(self, batch: Batch, line: MessageLine, attachments: Mapping[str, Json]) -> tuple[Any, ...]:
        conversation = self.conversation(line.conversation)
        message = message_id_of(conversation, line.id)
        sender = SYSTEM_USER if line.sender is None else self.user(line.sender)
        deleted_at = None if line.deleted_at is None else self.time(line.deleted_at)
        content: tuple[Any, ...] = (None,) * 5
        if deleted_at is None:
            shown: list[Json] = []
            for index, one in enumerate(line.attachments):
                upload = upload_id_of(message, index)
                if one.url:
                    shown.append({"type": "link", "url": one.url})
                elif upload in attachments:
                    shown.append(attachments[upload])
                    batch.uploads.append((upload, conversation, message))
            mentions = list(dict.fromkeys(map(self.user, line.mentions)))
            content = (
                line.text,
                to_jsonb(shown) if shown else None,
                None if line.reply_to is None else message_id_of(conversation, line.reply_to),
                None if line.meta is None else to_jsonb(line.meta),
                to_jsonb(extra) if (extra := extra_of(mentions, line.actions)) else None,
            )
        edited_at = None if line.edited_at is None or deleted_at is not None else self.time(line.edited_at)
        times = (self.time(line.created_at), edited_at, deleted_at)
        return (conversation, message, sender, *content, *times)

    def reaction_row(self, line: ReactionLine) -> tuple[Any, ...]:
        conversation = self.conversation(line.conversation)
        message, user = message_id_of(conversation, line.message), self.user(line.user)
        return (conversation, message, user, canonical(line.emoji), self.time(line.created_at))


def extra_of(mentions: list[str], actions: list[list[Button]]) -> dict[str, Any]:
    """See `NewMessage.extra`."""
    extra: dict[str, Any] = {"mentions": mentions} if mentions else {}
    return extra | ({"actions": stored_buttons(checked(actions))} if actions else {})


async def write_batch(tx: Tx, tenant: str, digest: bytes, batch: Batch, step: tuple[Any, ...]) -> Written:
    """Write the rows of a batch, and the progress. Raises Disturbed."""
    await silence(tx)
    if await tx.value(SQL.advance, tenant, digest, *step) is None:
        raise Disturbed("another import of this file is running")
    written = Written()
    if batch.users:
        written.users = await tx.value(SQL.insert_users, tenant, *columns(batch.users))
    if batch.conversations:
        written.conversations = await tx.value(SQL.insert_conversations, tenant, *columns(batch.conversations))
        await tx.run(SQL.name_conversations, tenant, *columns(batch.names))
    if batch.changed:
        locked = await tx.all(SQL.lock, tenant, batch.changed)
        if len(locked) < len(batch.changed):
            raise Disturbed("a conversation was created under another id in the meantime; run the import again")
    if batch.members:
        written.members = await tx.value(SQL.insert_members, tenant, *columns(batch.members))
    if batch.messages:
        written.messages = await tx.value(SQL.insert_messages, tenant, *columns(batch.messages))
    if batch.uploads:
        written.files = await tx.value(FILES_SQL.use, tenant, *columns(batch.uploads))
    if batch.reactions:
        changed = await tx.all(SQL.insert_reactions, tenant, *columns(batch.reactions))
        written.reactions = len(changed)
        places = list(dict.fromkeys((row["conversation"], row["seq"]) for row in changed))
        if places:
            await tx.run(SQL.count_reactions, tenant, *columns(places))
    if batch.reads:
        written.reads = await tx.value(SQL.advance_reads, tenant, *columns(batch.reads))
    return written


async def write_users(tx: Tx, tenant: str, users: Rows) -> int:
    """Write users before the rest of their batch. Returns the number of new ones."""
    await silence(tx)
    new: int = await tx.value(SQL.insert_users, tenant, *columns(users))
    return new


def columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return to_unnest_arrays(rows, len(rows[0]))
