"""chatd on the Postgres of the distribution, in a database that sorts and folds text by Turkish rules."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.cli import check
from chatd.core.config import Config, PostgresSection
from chatd.db.postgres import open_postgres
from tests.conftest import QUICK, memory
from tests.db.system_postgres import SystemPostgres, programs
from tests.support import PATIENCE, running

TURKISH = ("--locale-provider=icu", "--icu-locale=tr-TR", "--locale=C.UTF-8")
SAME_TIME = "update reactions set created_at = 1"


@pytest.fixture
async def server(loop: None) -> AsyncIterator[SystemPostgres]:
    with tempfile.TemporaryDirectory(prefix="chatd-tests-", dir=memory()) as folder:
        Path(folder).chmod(0o711)
        server = SystemPostgres(Path(folder, "postgres"), programs(), QUICK, TURKISH)
        await server.start()
        yield server
        with trio.CancelScope(shield=True):
            await server.stop()


async def test_daemon_works_with_a_turkish_locale(server: SystemPostgres, config: Config) -> None:
    here = replace(config, postgres=replace(config.postgres, dsn=server.dsn))
    async with running(here) as daemon, open_postgres(server.dsn, PostgresSection(timeout=PATIENCE)) as db:
        assert await db.value("select 'I' ilike 'i'") is False, "this database has no Turkish rules"
        assert [finding for finding in await check.postgres(db, here) if not finding.ok] == []
        async with daemon.pair() as (alice, bob, conversation):
            sent = await alice.send(conversation, "TITANIC in İstanbul")
            once, again = [
                await alice.call("message.send", conversation=conversation, client_id="I", text="twice")
                for _ in range(2)
            ]
            assert once["seq"] == again["seq"]
            for emoji in ("👍", "❤️", "☠️", "1️⃣"):
                await bob.call("reaction.add", conversation=conversation, message=sent["message"], emoji=emoji)
            await db.run(SAME_TIME)
            items = (await bob.call("message.history", conversation=conversation))["items"]
            (mine,) = [item["mine"] for item in items if "mine" in item]
            assert mine == sorted(mine)
            with trio.fail_after(PATIENCE):
                while not (await bob.call("message.search", query="titanic istanbul"))["items"]:
                    await trio.sleep(0.05)
            await bob.call("receipt.read", conversation=conversation, seq=again["seq"])
            await alice.call("message.delete", conversation=conversation, message=sent["message"], scope="all")
            for person in (alice, bob):
                await person.call("match.find", tags=["chess"])
            assert (await alice.event("match.found"))["partner"]
            await bob.call("me.erase", confirm=True)


async def test_changed_collation_library_is_found(server: SystemPostgres, config: Config) -> None:
    superuser = server.dsn.replace("//chatd@", "//postgres@")
    async with open_postgres(superuser, PostgresSection(timeout=PATIENCE)) as db:
        await db.run("update pg_database set datcollversion = '153.14' where datname = 'chatd'")
        wrong = [finding for finding in await check.postgres(db, config) if not finding.ok]
        assert [finding.code for finding in wrong if finding.code != "postgres.durability"] == ["postgres.collation"]
        assert "created with version 153.14" in wrong[-1].detail
        await db.run("alter database chatd refresh collation version")
        assert "postgres.collation" not in [
            finding.code for finding in await check.postgres(db, config) if not finding.ok
        ]
