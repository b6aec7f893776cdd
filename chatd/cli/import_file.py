"""chatd import"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from msgspec import Struct, field, to_builtins
from rich.progress import Progress as Bar

from chatd.accounts.authentication import ensure_tenants
from chatd.accounts.keys import Keyring
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.cli.common import (
    AsJson,
    ConfigFile,
    TenantOption,
    current_operator,
    exit_failed,
    failures,
    load_or_exit,
    print_json,
    run_async,
)
from chatd.cli.databases import databases
from chatd.cli.printing import complain, err, say
from chatd.cluster import control_messages
from chatd.cluster.control_messages import RecheckConversation
from chatd.cluster.stream_entries import announce, recent
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.errors import OperatorError, Refused
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis
from chatd.importing.checker import Checker, LineError
from chatd.importing.files import Source, open_file_store
from chatd.importing.lines import Numbered, decode, read
from chatd.importing.writer import Progress, Writer, Written
from chatd.uploads.settings import UploadSettings

BATCH_SIZE = 1000
MAX_SHOWN = 20


class Summary(Struct):
    """The result of an import. `lines` by type; `new`: the rows that were new; `errors`: the first ones."""

    dry_run: bool
    lines: dict[str, int]
    failed: int
    errors: list[LineError]
    resumed_at: int = 0
    new: Written = field(default_factory=Written)
    seconds: float = 0.0
    rows_per_second: int = 0


def import_file(
    file: Annotated[
        Path, typer.Argument(help="The file, with one JSON object in each line.", exists=True, dir_okay=False)
    ],
    uploads: Annotated[
        Path | None,
        typer.Option("--uploads", help="The folder of the files that messages name.", exists=True, file_okay=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line and write nothing.")] = False,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Import users, conversations and messages of another product, with their times and ids; see docs/importing.md.

    Every line is checked before anything is written. After a break, the same command continues.

    [bold]Example[/]

      chatd import --dry-run export.jsonl && chatd import export.jsonl

      chatd import export.jsonl --uploads files
    """
    loaded = load_or_exit(config).config
    summary = run_async(run_import, loaded, tenant, file, uploads, dry_run)
    if as_json:
        print_json(to_builtins(summary))
    else:
        show(summary)
    if summary.failed:
        raise typer.Exit(1)


def show(summary: Summary) -> None:
    """Print the result for people."""
    for error in summary.errors[:MAX_SHOWN]:
        complain(f"line {error.line}: {error.message}")
    if summary.failed:
        say(f"{summary.failed} lines cannot be imported. Nothing was written.")
        return
    lines = ", ".join(f"{count} {name}" for name, count in summary.lines.items()) or "none"
    say(f"lines: {lines}")
    if summary.dry_run:
        say("All lines can be imported. Nothing was written.")
        return
    new = ", ".join(f"{count} {name}" for name, count in to_builtins(summary.new).items())
    say(f"new: {new}; {summary.seconds:.1f} s, {summary.rows_per_second} rows a second")


async def run_import(config: Config, tenant: str, file: Path, uploads: Path | None, dry_run: bool) -> Summary:
    with failures():
        keys = Keyring(config)
    if tenant not in keys.tenants:
        raise exit_failed(f"tenant {tenant} does not exist; configured: {', '.join(keys.tenants)}")
    async with databases(config) as (db, redis):
        await ensure_tenants(db, keys, now_ms())
        with Bar(console=err, transient=True, disable=not err.is_terminal) as bar:
            source = Source(uploads, config.get(UploadSettings).max_bytes)
            return await Import(db, redis, config, current_operator(tenant), file, source, bar).run(dry_run)


class Import:
    """The import of one file: two passes over it."""

    def __init__(
        self, db: Postgres, redis: Redis, config: Config, actor: AuditActor, file: Path, source: Source, bar: Bar
    ) -> None:
        self._db = db
        self._redis = redis
        self._config = config
        self._actor = actor
        self._file = file
        self._source = source
        self._bar = bar
        state = file.stat()
        self._state = (state.st_size, state.st_mtime_ns)
        self._size = max(1, state.st_size)
        self._notifies = False

    async def run(self, dry_run: bool) -> Summary:
        checker = Checker(self._db, self._config, self._actor.tenant, self._actor.now, self._source)
        try:
            digest = await self._check(checker)
            summary = Summary(dry_run, checker.counts, checker.failed, checker.errors)
            if not checker.failed and not dry_run:
                async with open_file_store(self._db, self._config, self._actor, self._source) as files:
                    await self._write(Writer(self._db, self._actor, digest, checker.known, files), summary)
            return summary
        finally:
            checker.known.close()

    async def _check(self, checker: Checker) -> bytes:
        """The first pass. Returns the SHA-256 of the file."""
        task, digest = self._bar.add_task("checking", total=self._size), hashlib.sha256()
        for lines in batches(read(self._file, digest=digest)):
            await checker.check(lines)
            self._bar.update(task, completed=lines[-1].end)
        self._bar.update(task, completed=self._size)
        return digest.digest()

    async def _write(self, writer: Writer, summary: Summary) -> None:
        """The second pass, from where an earlier run ended."""
        began, progress = perf_counter(), await writer.begin()
        self._notifies = bool(await self._nodes())
        task = self._bar.add_task("importing", total=self._size, completed=progress.position)
        summary.resumed_at = progress.lines
        start = Numbered(progress.lines, progress.position, b"")
        for lines in batches(read(self._file, start)):
            self._check_unchanged()
            after = Progress(lines[-1].number, lines[-1].end)
            written, changed = await writer.write([decode(line) for line in lines], progress, after)
            progress = after
            summary.new.add(written)
            await self._notify(changed)
            self._bar.update(task, completed=after.position)
        await writer.write([], progress, Progress(progress.lines, progress.position, now_ms()))
        summary.seconds = perf_counter() - began
        rows = to_builtins(summary.new)
        summary.rows_per_second = round(sum(rows.values()) / max(summary.seconds, 0.001))
        await audit_log.write(self._db, self._actor, "import", writer.digest.hex(), {"new": rows})

    def _check_unchanged(self) -> None:
        """Raises OperatorError if the file was changed since its lines were checked."""
        state = self._file.stat()
        if (state.st_size, state.st_mtime_ns) != self._state:
            raise OperatorError("the file was changed during the import; run the command again")

    async def _nodes(self) -> list[str]:
        try:
            return await recent(self._redis)
        except Refused:
            return []

    async def _notify(self, conversations: Iterable[str]) -> None:
        """Let running nodes look up the conversations. If Redis is unavailable, they find the changes later."""
        if not self._notifies:
            return
        try:
            for conversation in conversations:
                message = RecheckConversation(self._actor.tenant, conversation)
                await announce(self._redis, uuid7(now_ms()), control_messages.encode(message))
        except Refused:
            self._notifies = False


def batches(lines: Iterator[Numbered]) -> Iterator[list[Numbered]]:
    while batch := list(islice(lines, BATCH_SIZE)):
        yield batch
