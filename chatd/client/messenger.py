"""The commands of a messenger as methods, with the names and fields of docs/protocol.md."""

from typing import Any
from uuid import uuid4

from chatd.client.outbox import Outbox
from chatd.client.types import (
    Calls,
    ConversationInfo,
    Forwarded,
    FoundUsers,
    Labels,
    Members,
    MessageResult,
    Messages,
    Ok,
    OwnConversation,
    Receipts,
    ThreadResult,
    Threads,
    UnreadTotal,
    UserResult,
    Users,
)


class Messenger(Calls):
    """The commands beyond sending, as methods. Each method returns the server's answer."""

    outbox: Outbox

    # --- messages -------------------------------------------------------------------------------------------------

    async def edit(self, conversation: str, message: str, text: str, **mentions: Any) -> MessageResult:
        """Change the text, and who is mentioned with `mentions` and `everybody`."""
        return await self.call("message.edit", conversation=conversation, message=message, text=text, **mentions)

    async def delete(self, conversation: str, message: str, *, for_all: bool = True) -> Ok:
        return await self.call(
            "message.delete", conversation=conversation, message=message, scope="all" if for_all else "me"
        )

    async def react(self, conversation: str, message: str, emoji: str, *, on: bool = True) -> Ok:
        if on:
            return await self.call("reaction.add", conversation=conversation, message=message, emoji=emoji)
        return await self.call("reaction.remove", conversation=conversation, message=message, emoji=emoji)

    async def pin(self, conversation: str, message: str, *, on: bool = True) -> Ok:
        if on:
            return await self.call("message.pin", conversation=conversation, message=message)
        return await self.call("message.unpin", conversation=conversation, message=message)

    async def star(self, conversation: str, message: str, *, on: bool = True) -> Ok:
        if on:
            return await self.call("message.star", conversation=conversation, message=message)
        return await self.call("message.unstar", conversation=conversation, message=message)

    async def receipts(self, conversation: str, message: str, *, cursor: str | None = None) -> Receipts:
        """The members that have read and received the message."""
        return await self.call("message.receipts", conversation=conversation, message=message, cursor=cursor)

    async def forward(self, conversation: str, source: str, message: str, *, client_id: str | None = None) -> Forwarded:
        """Send a message of `source` into another conversation.

        After Disconnected, call it again with the same `client_id` of your own: the message is sent only once.
        """
        client_id = client_id or str(uuid4())
        self.outbox.note(client_id)
        return await self.call(
            "message.forward", conversation=conversation, source=source, message=message, client_id=client_id
        )

    # --- threads --------------------------------------------------------------------------------------------------

    async def threads(self, cursor: str | None = None, *, unread: bool = False) -> Threads:
        """A page of the threads that you follow, the latest reply first. `send(..., thread=...)` replies."""
        return await self.call("thread.list", cursor=cursor, unread=unread)

    async def follow(self, conversation: str, thread: str, *, on: bool = True) -> ThreadResult:
        if on:
            return await self.call("thread.follow", conversation=conversation, thread=thread)
        return await self.call("thread.unfollow", conversation=conversation, thread=thread)

    async def read_thread(self, conversation: str, thread: str, seq: int) -> ThreadResult:
        return await self.call("thread.read", conversation=conversation, thread=thread, seq=seq)

    async def replies(self, conversation: str, thread: str, **page: Any) -> Messages:
        """A page of the replies in a thread; `before`, `after` and `limit` as for the history."""
        return await self.call("thread.history", conversation=conversation, thread=thread, **page)

    # --- people ---------------------------------------------------------------------------------------------------

    async def me(self) -> UserResult:
        """The profile of this user."""
        return await self.call("me.get")

    async def update_me(self, **fields: Any) -> UserResult:
        """Change the profile of this user: see user.update."""
        return await self.call("user.update", **fields)

    async def profile(self, user: str) -> UserResult:
        """The profile of a user, by id or by `@handle`."""
        return await self.call("user.get", user=user)

    async def profiles(self, users: list[str], *, changed_since: str | None = None) -> Users:
        """The profiles of users; with a cursor, of those that have changed since."""
        return await self.call("user.query", users=users, changed_since=changed_since)

    async def find_users(self, query: str, *, cursor: str | None = None) -> FoundUsers:
        """A page of the users whose handle or name begins with the query."""
        return await self.call("user.search", query=query, cursor=cursor)

    # --- groups ---------------------------------------------------------------------------------------------------

    async def members(self, conversation: str, *, cursor: str | None = None) -> Members:
        return await self.call("member.list", conversation=conversation, cursor=cursor)

    async def add(self, conversation: str, users: list[str]) -> Members:
        return await self.call("member.add", conversation=conversation, users=users)

    async def remove(self, conversation: str, user: str) -> Ok:
        return await self.call("member.remove", conversation=conversation, user=user)

    async def leave(self, conversation: str) -> Ok:
        return await self.call("conversation.leave", conversation=conversation)

    async def change(self, conversation: str, **fields: Any) -> ConversationInfo:
        """Change title, description, picture or rules: see conversation.edit."""
        return await self.call("conversation.edit", conversation=conversation, **fields)

    async def settings(self, conversation: str, **fields: Any) -> OwnConversation:
        """Update your own settings of a conversation, such as `archived` or `labels`. See conversation.settings."""
        return await self.call("conversation.settings", conversation=conversation, **fields)

    async def labels(self) -> Labels:
        """Your labels, with the number of conversations of each. `settings(id, labels=[...])` sets them."""
        return await self.call("label.list")

    async def rename_label(self, label: str, to: str) -> Labels:
        """Rename one of your labels on all conversations; "" removes it."""
        return await self.call("label.rename", label=label, to=to)

    async def block(self, user: str, *, on: bool = True) -> Ok:
        if on:
            return await self.call("user.block", user=user)
        return await self.call("user.unblock", user=user)

    async def unread(self) -> UnreadTotal:
        """The number of unread messages, for a badge."""
        return await self.call("unread.total")
