"""What a session of a bot is sent: in order, also if the database cannot be read, and nothing that is not judged."""

import asyncpg
import trio
import trio_asyncio
from msgspec.structs import replace
from trio_asyncio import aio_as_trio

from chatd.bots.streams import MAX_WAITING, BotStreams
from chatd.conversations.events import MessageNew
from chatd.core.config import Config
from chatd.core.ids import NIL
from chatd.db.postgres import Postgres
from chatd.realtime.sessions import Delivery, EncodedEvent
from chatd.wire.base import Event
from chatd.wire.connection_events import TokenExpiring
from chatd.wire.reference.examples import example
from tests.bots.world import WEATHER, bots_of, group_of
from tests.realtime.test_hub import Session, body_of
from tests.support import eventually, running


class Unjudged(Event, tag="test.unjudged"):
    """An event that no release has judged."""

    text: str = "xylophone"


def message(rev: int) -> Delivery:
    return Delivery(EncodedEvent(replace(example(MessageNew), rev=rev, conversation=NIL)), rev, topic=NIL)


async def test_what_is_not_judged_is_not_sent(store: Postgres) -> None:
    session = Session("s", NIL)
    BotStreams(store).attach(session)
    assert session.send_nowait(b"", Delivery(EncodedEvent(Unjudged()))) is False
    session.send_nowait(b"xylophone", Delivery(EncodedEvent(Unjudged()), 7, topic=NIL))
    session.send_nowait(b"an answer")
    session.send_nowait(frame := b"as it is", Delivery(EncodedEvent(TokenExpiring(expires_at=1))))
    assert body_of(session.frames[0]) == {"t": "behind", "conversation": NIL, "rev": 7}
    assert session.frames[1:] == [b"an answer", frame]


async def test_answers_wait_behind_messages_and_too_many_close_the_session(store: Postgres) -> None:
    session, streams = Session("s", NIL), BotStreams(store)
    streams.attach(session)
    session.send_nowait(b"", message(1))
    session.send_nowait(b"an answer")
    assert session.frames == []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(streams.run)
        await eventually(lambda: len(session.frames) == 2)
        nursery.cancel_scope.cancel()
    assert session.frames[1] == b"an answer"
    for rev in range(2, MAX_WAITING + 4):
        session.send_nowait(b"", message(rev))
    assert session.closed == ["slow"]


async def test_a_database_that_does_not_answer(config: Config, dsn: str) -> None:
    """The bot gets `behind`, and finds everything by a sync."""
    config = replace(config, postgres=replace(config.postgres, timeout=1.0))
    async with running(config) as daemon, trio_asyncio.open_loop():
        bots = await bots_of(daemon)
        connection = await aio_as_trio(asyncpg.connect)(dsn)
        async with daemon.person() as alice, bots.connected(WEATHER) as bot:
            group = await group_of(alice, bot)
            await alice.send(group, "first", mentions=[bot.user])
            assert (await bot.event("message.new"))["message"]["text"] == "first"
            await aio_as_trio(connection.execute)("begin; lock table bots, users in access exclusive mode")
            ack = await alice.send(group, "second")
            behind = await bot.event("behind", patience=30)
            await aio_as_trio(connection.execute)("rollback")
            assert (behind["conversation"], behind["rev"]) == (group, ack["rev"])
            changes = await bot.call("conversation.sync", conversation=group, rev=ack["rev"] - 1)
            assert [one["concealed"] for one in changes["messages"]] == [True]
            await alice.send(group, "third", mentions=[bot.user])
            assert (await bot.event("message.new"))["message"]["text"] == "third"
        await aio_as_trio(connection.close)()
