"""A data folder of the embedded Postgres with the schema, made once for the process and copied for each test.

The first start of a server (initdb, statements of the superuser, a sync of all disks) takes half a second of CPU time.
Tests of the first start itself: tests/db/test_embedded.py.
"""

import atexit
import shutil
import tempfile
from pathlib import Path

import trio
import trio_asyncio

from chatd.core.config import PostgresSection
from chatd.db import migrations
from chatd.db.embedded import postgres as embedded_postgres
from chatd.db.postgres import open_postgres
from chatd.subsystems import schemas_of
from tests.support import PATIENCE

MADE: list[Path] = []


async def prepare_postgres(folder: Path) -> None:
    """Create the data folder of an embedded Postgres, unless there is one."""
    if not folder.exists():
        if not MADE:
            MADE.append(await make())
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # With the owner of each file, which is not the one of this process if that is root.
        await trio.run_process(["cp", "-a", str(MADE[0]), str(folder)])


async def make() -> Path:
    place = Path(tempfile.mkdtemp(prefix="chatd-prepared-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    place.chmod(0o711)
    server = embedded_postgres.Server(place / "postgres", {})
    await server.start()
    try:
        async with trio_asyncio.open_loop(), open_postgres(server.dsn, PostgresSection(timeout=PATIENCE)) as db:
            await migrations.migrate(db, schemas_of())
    finally:
        with trio.CancelScope(shield=True):
            await server.stop()
    return server.folder
