"""Threads and labels in the Python client."""

from chatd.client.types import ThreadUpdate
from tests.client.test_messenger import client_of, next_events, two
from tests.support import Daemon


async def test_threads_are_followed_read_and_emitted(daemon: Daemon) -> None:
    alice, bob = await two(daemon)
    async with client_of(daemon, alice) as a, client_of(daemon, bob) as b, client_of(daemon, alice) as tablet:
        id_ = (await a.open(bob.user)).conversation.id
        root = (await a.send(id_, "root")).message
        reply = await b.send(id_, "reply", thread=root)
        update = (await next_events(a, "message.new", "thread.update"))[-1]
        assert isinstance(update, ThreadUpdate)
        assert (update.thread, update.replies and update.replies.count) == (root, 1)
        (thread,) = (await a.threads(unread=True)).items
        assert (thread.thread.id, thread.unread) == (root, 1)
        assert [one.text for one in (await a.replies(id_, root, limit=1)).items] == ["reply"]
        assert (await a.read_thread(id_, root, reply.seq)).thread.unread == 0
        changed = (await next_events(tablet, "session.changed"))[-1]
        assert [one.read_seq for one in changed.threads] == [reply.seq]
        assert (await a.follow(id_, root, on=False)).thread.following is False
        await a.settings(id_, labels=["home"])
        assert [one.label for one in (await a.labels()).items] == ["home"]
        assert (await a.rename_label("home", "")).items == []
        assert [one.id for one in (await a.conversations(kind="direct", order="pinned")).items] == [id_]
