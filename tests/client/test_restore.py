"""A backup is restored into a running cluster: no client keeps lost messages or misses their replacements."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
import trio
from msgspec.structs import replace

from chatd.cli.restored import renew
from chatd.client import Client, connect
from chatd.core.config import ClusterTimes, Config, PostgresSection
from chatd.db.embedded import postgres
from chatd.db.postgres import open_postgres
from tests.conftest import Servers, drop_database
from tests.reply import Reply
from tests.support import PATIENCE, Daemon, Person, covers, running

Restore = Callable[[Config, Servers, Path], Awaitable[None]]
TABLES = "select string_agg(quote_ident(tablename), ', ') from pg_tables where schemaname = 'public'"


async def tool(name: str, *arguments: str, options: str = "") -> None:
    command = [str(postgres.binaries() / name), *arguments]
    await trio.run_process(command, capture_stderr=True, cwd="/", env=os.environ | {"PGOPTIONS": options})


async def dump(config: Config, path: Path) -> None:
    await tool("pg_dump", "--format=custom", f"--file={path}", config.postgres.dsn)


async def clean(config: Config, servers: Servers, path: Path) -> None:
    await tool("pg_restore", "--clean", "--if-exists", f"--dbname={config.postgres.dsn}", str(path))


async def in_one_transaction(config: Config, servers: Servers, path: Path) -> None:
    await tool("pg_restore", "--clean", "--single-transaction", f"--dbname={config.postgres.dsn}", str(path))


async def another_database(config: Config, servers: Servers, path: Path) -> None:
    name = urlsplit(config.postgres.dsn).path.lstrip("/")
    async with open_postgres(servers.dsn("postgres"), PostgresSection(timeout=PATIENCE)) as admin:
        await drop_database(admin, name)
        await admin.run(f"create database {name} template template0")
    await tool("pg_restore", f"--dbname={config.postgres.dsn}", str(path))


async def rows_without_triggers(config: Config, servers: Servers, path: Path) -> None:
    """As documented, with the command."""
    async with open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
        await db.run(f"truncate {await db.value(TABLES)}")
    await tool(
        "pg_restore",
        "--data-only",
        f"--dbname={config.postgres.dsn}",
        str(path),
        options="-c session_replication_role=replica",
    )
    await renew(config)


RESTORES = [clean, another_database, rows_without_triggers]


async def answers(person: Person, cursor: str) -> tuple[Reply, Reply]:
    """The answers for a client with this cursor: about all conversations, and without a cursor."""
    return await person.call("session.sync", cursor=cursor), await person.call("session.sync")


async def next_event(client: Client, kind: str) -> Reply:
    with trio.fail_after(2 * PATIENCE):
        async for typed in client.events:
            event = Reply(msgspec.to_builtins(typed))
            if event["t"] == kind:
                return event
    raise AssertionError


@covers("session.sync")
@pytest.mark.parametrize("restore", RESTORES, ids=lambda one: str(one.__name__))
async def test_messages_lost_by_a_restore_are_dropped_and_new_ones_emitted(
    config: Config, servers: Servers, tmp_path: Path, restore: Restore
) -> None:
    """The numbers of the lost message are given to another one: only the epoch differs."""
    # The second node waits for no answer of the first one, which is silent soon.
    config = replace(config, cluster=ClusterTimes(heartbeat=0.2))
    async with running(config) as daemon, daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, "kept")
        await dump(config, folder := tmp_path / "backup")
        lost = await alice.send(conversation, "lost")
        cursor = (await bob.call("session.sync"))["cursor"]
        async with connect(daemon.addresses.socket, bob.account) as client:
            await client.wait_connected()
            position = client.position
    await restore(config, servers, folder)
    async with running(config) as daemon, daemon.connected(alice.account) as alice:
        instead = await alice.send(conversation, "instead")
        assert (instead["seq"], instead["rev"]) == (lost["seq"], lost["rev"])
        async with daemon.connected(bob.account) as again:
            with_cursor, without = await answers(again, cursor)
            assert with_cursor["reset"]
            assert not without["reset"]
            assert with_cursor["conversations"] == without["conversations"] != []
            assert not (await again.call("session.sync", cursor=with_cursor["cursor"]))["reset"]
        async with connect(daemon.addresses.socket, bob.account, position=position) as client:
            reset = await next_event(client, "conversation.reset")
            assert (reset["conversation"], reset["seq"]) == (conversation, 2)
            history = await client.history(conversation)
            assert [message.text for message in history.items] == ["kept", "instead"]
            await alice.send(conversation, "live")
            assert (await next_event(client, "message.new"))["message"]["text"] == "live"


async def test_running_nodes_detect_a_restore(config: Config, servers: Servers, tmp_path: Path) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, "kept")
        await dump(config, folder := tmp_path / "backup")
        for _ in range(3):
            await alice.send(conversation, "lost")
        await trio.sleep(config.cluster.check_s + 1)
        await in_one_transaction(config, servers, folder)
        assert (await bob.ended(3 * PATIENCE)).code == 1001
        await alice.ended()
        async with daemon.connected(alice.account) as alice, daemon.connected(bob.account) as bob:
            assert (await alice.send(conversation, "instead"))["seq"] == 2
            assert (await bob.event("message.new"))["message"]["text"] == "instead"


@covers("conversation.sync")
@pytest.mark.parametrize("ahead", [1, 1000, 2**53])
async def test_sync_with_a_rev_ahead_of_the_server_starts_from_the_beginning(daemon: Daemon, ahead: int) -> None:
    """Page by page: only the first page is marked `reset`."""
    async with daemon.pair() as (alice, bob, conversation):
        for number in range(3):
            ack = await alice.send(conversation, str(number))
        rev = ack["rev"]
        page = await bob.call("conversation.sync", conversation=conversation, rev=rev + ahead, limit=2)
        assert (page["reset"], page["more"]) == (True, True)
        assert page["info"]["title"] is None
        texts = [message["text"] for message in page["messages"]]
        while page["more"]:
            page = await bob.call("conversation.sync", conversation=conversation, rev=page["rev"], limit=2)
            assert not page["reset"]
            texts += [message["text"] for message in page["messages"]]
        assert (texts, page["rev"]) == (["0", "1", "2"], rev)
        assert not (await bob.call("conversation.sync", conversation=conversation, rev=rev))["reset"]


async def test_client_drops_a_conversation_whose_rev_is_ahead_of_the_server(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), connect(daemon.addresses.socket, bob.account) as client:
        await alice.send(conversation, "0")
        assert (await next_event(client, "message.new"))["message"]["text"] == "0"
        place = client._timeline.places[conversation]
        place.rev, place.seq = place.rev + 50, place.seq + 50
        client._timeline.behind.add(conversation)
        client._missed.check()
        assert (await next_event(client, "conversation.reset"))["seq"] == 1
        await alice.send(conversation, "1")
        assert (await next_event(client, "message.new"))["message"]["text"] == "1"
