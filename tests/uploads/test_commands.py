"""Removal of uploads, over WebSocket and REST, and by the sweep."""

from pathlib import Path
from typing import Any

import trio

from chatd.client import sign_up
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres, open_postgres
from chatd.uploads.blobs import Blobs
from chatd.uploads.chunks import Chunks
from chatd.uploads.folder_store import IDENTITY, Folder
from chatd.uploads.quotas import DAY_MS as DAY
from chatd.uploads.sweep import REMOVED_ROWS_KEPT_MS, Sweep
from tests.files import PDF, fetched, stored
from tests.support import NOBODY, Daemon, covers


def files(daemon: Daemon) -> list[Path]:
    """The files of uploads; the folder also holds its own identity."""
    found = (Path(daemon.config.data.dir) / "uploads").rglob("*")
    return [path for path in found if path.is_file() and path.name != IDENTITY]


@covers("upload.delete")
async def test_owner_removes_an_upload(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        token = alice.account.access_token
        ids = [(await stored(daemon, token, PDF))["id"] for _ in range(2)]
        assert len(files(daemon)) == 2
        assert (await alice.call("upload.delete", upload=ids[0]))["t"] == "ok"
        assert (await daemon.rest("DELETE", f"/v1/uploads/{ids[1]}", None, token)).body == {"t": "ok"}
        assert files(daemon) == []
        for id_ in ids:
            assert (await fetched(daemon, token, id_)).status == 404


@covers("upload.delete", "not_found")
async def test_only_the_owner_can_remove_an_upload(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        id_ = (await stored(daemon, alice.account.access_token, PDF))["id"]
        await use(daemon, id_, conversation)
        refusals = [await bob.refused("upload.delete", upload=upload) for upload in (id_, NOBODY)]
        assert {(refused.code, refused.message) for refused in refusals} == {("not_found", "no such upload")}
        assert (await alice.call("upload.delete", upload=id_))["t"] == "ok"
        assert (await alice.refused("upload.delete", upload=id_)).code == "not_found"
        assert (await fetched(daemon, bob.account.access_token, id_)).status == 404


async def use(daemon: Daemon, upload: str, conversation: str, tenant: str = "default") -> None:
    async with open_postgres(daemon.config.postgres.dsn, daemon.config.postgres) as db:
        sql = "insert into upload_uses (tenant, upload, conversation, seq) values ($1, $2, $3, 1)"
        await db.run(sql, tenant, upload, conversation)


class SweepNode:
    """The parts of a node that the sweep uses."""

    def __init__(self, db: Postgres, blobs: Any) -> None:
        self.db, self.blobs = db, blobs

    def get(self, _: type[Blobs]) -> Any:
        return self.blobs


async def add(db: Postgres, folder: Folder, key: str, age: int, *, used: bool = False, removed: bool = False) -> str:
    now = now_ms()
    user, id_, conversation = uuid7(now), uuid7(now - age), uuid7(now)
    await folder.put(key, Chunks.of(b"bytes"))
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", user)
    await db.run(
        "insert into uploads (tenant, id, owner, key, mime, size, sha256, created_at, removed_at)"
        " values ('default', $1, $2, $3, 'x', 5, '', $4, $5)",
        *(id_, user, key, now - age, now if removed else None),
    )
    if used:
        await db.run(
            "insert into conversations (tenant, id, kind, members, created_at, active_at)"
            " values ('default', $1, 'group', 1, 0, 0)",
            conversation,
        )
        await db.run(
            "insert into upload_uses (tenant, upload, conversation, seq) values ('default', $1, $2, 1)",
            id_,
            conversation,
        )
    return id_


async def test_sweep_removes_unused_uploads_after_a_day(db: Postgres, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    keys = [digit * 40 for digit in "abcdef"]
    await add(db, folder, keys[0], 2 * DAY)
    await add(db, folder, keys[1], 2 * DAY, used=True)
    await add(db, folder, keys[2], DAY // 2)
    await add(db, folder, keys[3], 3 * DAY, removed=True)
    await Sweep(SweepNode(db, folder)).run(now_ms())  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {keys[1], keys[2]}
    rows = await db.all("select key, removed_at is null as alive from uploads")
    assert {row["key"] for row in rows if row["alive"]} == {keys[1], keys[2]}
    assert all(row["key"].startswith("deleted:") for row in rows if not row["alive"])


async def test_rows_of_removed_files_are_deleted_after_a_month(db: Postgres, tmp_path: Path) -> None:
    sweep = Sweep(SweepNode(db, Folder(tmp_path)))  # type: ignore[arg-type]
    await add(db, Folder(tmp_path), "a" * 40, 2 * DAY)
    await add(db, Folder(tmp_path), "b" * 40, 2 * DAY, used=True)
    now, counts = now_ms(), []
    for after in (0, REMOVED_ROWS_KEPT_MS - 1, REMOVED_ROWS_KEPT_MS + 1):
        await sweep.run(now + after)
        counts.append(await db.value("select count(*) from uploads"))
    assert counts == [2, 2, 1]
    assert await db.value("select key from uploads") == "b" * 40


async def test_sweep_is_bounded_and_continues(db: Postgres, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for number in range(5):
        await add(db, folder, f"{number:040x}", 2 * DAY)
    sweep = Sweep(SweepNode(db, folder), page=2, pages=1)  # type: ignore[arg-type]
    left = []
    for _ in range(4):
        await sweep.run(now_ms())
        left.append(await db.value("select count(*) from uploads where removed_at is null"))
    assert left == [3, 1, 0, 0]


async def test_sweep_keeps_uploads_that_are_being_attached(db: Postgres, dsn: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    id_ = await add(db, folder, "a" * 40, 2 * DAY)
    sweep = Sweep(SweepNode(db, folder))  # type: ignore[arg-type]

    async def hold(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute("select 1 from uploads where id = $1 and removed_at is null for share", id_)
            held.set()
            while not swept.is_set():
                await connection.execute("select pg_sleep(0.02)")

    held, swept = trio.Event(), trio.Event()
    async with open_postgres(dsn, Config().postgres) as other, trio.open_nursery() as nursery:
        nursery.start_soon(other.run_on_connection, hold)
        await held.wait()
        await sweep.run(now_ms())
        swept.set()
    assert await db.value("select removed_at is null from uploads") is True
    await sweep.run(now_ms())
    assert await db.value("select removed_at is null from uploads") is False


async def test_unreachable_store_does_not_stop_the_sweep(config: Config, daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    id_ = (await stored(daemon, account.access_token, PDF))["id"]
    folder = Path(config.data.dir) / "uploads"
    folder.rename(folder.with_name("elsewhere"))
    folder.touch()
    assert (await fetched(daemon, account.access_token, id_)).status == 503
    answer = await daemon.rest("DELETE", f"/v1/uploads/{id_}", None, account.access_token)
    assert answer.status == 200
    folder.unlink()
    folder.with_name("elsewhere").rename(folder)
    assert (await fetched(daemon, account.access_token, id_)).status == 404
    async with open_postgres(config.postgres.dsn, config.postgres) as db:
        assert len(files(daemon)) == 1
        await Sweep(SweepNode(db, Folder(folder))).run(now_ms())  # type: ignore[arg-type]
    assert files(daemon) == []
