"""Files are scanned before anybody can see them: by a server that speaks the protocol of clamd(8), and by a real clamd."""

import logging
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.client import sign_up
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.uploads.checks import check, check_settings
from chatd.uploads.chunks import Chunks
from chatd.uploads.scanning import BadScanner, Scanner, address_of, verdict
from chatd.uploads.settings import UploadSettings
from tests.files import PDF, fetched, picture, stored, upload
from tests.interop.tools import tool
from tests.support import NOBODY, PATIENCE, running

# The test file of EICAR, in two parts, so that no scanner finds it here.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}" + rb"$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
WHO = Principal("default", NOBODY, "", "", "", 2**40)
MAX_STREAM = 2_000_000


async def clamd(stream: trio.SocketStream, reply: bytes = b"", max_stream: int = MAX_STREAM) -> None:
    """The commands zPING and zINSTREAM as clamd(8) documents them; `reply` instead of a verdict."""
    async with stream:
        received = bytearray()

        async def take(size: int) -> bytes:
            while len(received) < size:
                part = await stream.receive_some()
                if not part:
                    raise EOFError
                received.extend(part)
            taken = bytes(received[:size])
            del received[:size]
            return taken

        command = b""
        while not command.endswith(b"\0"):
            command += await take(1)
        if command == b"zPING\0":
            await stream.send_all(b"PONG\0")
            return
        assert command == b"zINSTREAM\0"
        end, total, is_found = b"", 0, False
        while size := int.from_bytes(await take(4)):
            end = end[-len(EICAR) :] + await take(size)
            total, is_found = total + size, is_found or EICAR in end
            if total > max_stream:
                await stream.send_all(b"INSTREAM size limit exceeded. ERROR\0")
                return
        found = b"stream: Eicar-Test-Signature FOUND\0" if is_found else b"stream: OK\0"
        await stream.send_all(reply or found)


@asynccontextmanager
async def scanner_at(path: Path, reply: bytes = b"", max_stream: int = MAX_STREAM) -> AsyncIterator[str]:
    """The address of such a server."""
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(path))
    listener.listen()
    async with trio.open_nursery() as nursery:
        server = partial(clamd, reply=reply, max_stream=max_stream)
        nursery.start_soon(trio.serve_listeners, server, [trio.SocketListener(listener)])
        yield f"unix:{path}"
        nursery.cancel_scope.cancel()


def settings(address: str, **more: object) -> UploadSettings:
    return UploadSettings(scan=address, **more)


async def code_of(scanner: Scanner, data: bytes) -> str:
    try:
        await scanner.check(Chunks.of(data), WHO)
    except Refused as refused:
        return refused.code
    return "accepted"


async def test_clean_files_are_accepted_and_bad_ones_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with scanner_at(tmp_path / "s") as address:
        scanner = Scanner(settings(address))
        for clean in (b"", b"clean", bytes(1_000_000)):
            assert await code_of(scanner, clean) == "accepted"
        with caplog.at_level(logging.WARNING):
            assert await code_of(scanner, b"x" * 100_000 + EICAR) == "bad_request"
        assert (scanner.found, scanner.unscanned) == (1, 0)
        (line,) = [record for record in caplog.records if "malware" in record.message]
        assert (line.malware, line.user) == ("Eicar-Test-Signature", NOBODY)  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_required", [True, False])
@pytest.mark.parametrize("reply", [b"stream: Can't allocate memory ERROR\0", b"x" * 5000, b"OK", b"stream: \0", b"\0"])
async def test_scanner_without_a_verdict(tmp_path: Path, reply: bytes, is_required: bool) -> None:
    async with scanner_at(tmp_path / "s", reply) as address:
        scanner = Scanner(settings(address, scan_required=is_required))
        assert await code_of(scanner, EICAR) == ("unavailable" if is_required else "accepted")
        assert (scanner.unscanned, scanner.condition.failing) == (int(not is_required), True)


async def test_file_that_is_too_large_for_the_scanner(tmp_path: Path) -> None:
    async with scanner_at(tmp_path / "s") as address:
        scanner = Scanner(settings(address))
        assert await code_of(scanner, bytes(4 * MAX_STREAM)) == "unavailable"
        assert await code_of(scanner, b"x") == "accepted"
        assert not scanner.condition.failing


async def test_scanner_that_is_away_or_silent(tmp_path: Path) -> None:
    assert await code_of(Scanner(settings(f"unix:{tmp_path}/none")), b"x") == "unavailable"
    assert await code_of(Scanner(settings("tcp:127.0.0.1:1")), b"x") == "unavailable"
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        assert await code_of(Scanner(settings(f"tcp:127.0.0.1:{port}", scan_timeout=0.2)), b"x") == "unavailable"


@pytest.mark.parametrize(
    "bad", ["clamd", "unix:clamd", "tcp:", "tcp:host", "tcp::3310", "tcp:h:0", "tcp:h:65536", "tcp:h:٣"]
)
def test_malformed_addresses_are_refused(bad: str) -> None:
    with pytest.raises(BadScanner):
        address_of(bad)
    (finding,) = check_settings(Config().using(settings(bad)))
    assert (finding.ok, finding.code) == (False, "scanner")


def test_verdicts() -> None:
    assert verdict(b"stream: OK") is None
    assert verdict(b"stream: Win.Test.EICAR_HDB-1 FOUND") == "Win.Test.EICAR_HDB-1"


async def test_check_examines_the_scanner(tmp_path: Path, config: Config) -> None:
    async with scanner_at(tmp_path / "s") as address:
        found = {finding.what: finding for finding in await check(config.using(settings(address)))}
        assert found["virus scanner"].ok
    found = {finding.what: finding for finding in await check(config.using(settings(f"unix:{tmp_path}/none")))}
    assert not found["virus scanner"].ok
    assert "clamd" in found["virus scanner"].fix
    assert "virus scanner" not in {finding.what for finding in await check(config)}


async def test_bad_upload_is_never_stored(tmp_path: Path, config: Config) -> None:
    async with scanner_at(tmp_path / "s") as address, running(config.using(settings(address))) as daemon:
        account = await sign_up(daemon.addresses.http)
        answer = await upload(daemon, account.access_token, EICAR)
        assert (answer.status, answer.body["code"]) == (400, "bad_request")
        assert not [path for path in (Path(config.data.dir) / "uploads").rglob("*") if len(path.name) == 40]
        clean = await stored(daemon, account.access_token, picture())
        assert (await fetched(daemon, account.access_token, clean["id"])).status == 200
        metrics = str((await daemon.rest("GET", "/metrics", Host="localhost")).body)
        assert "chatd_upload_malware_total 1" in metrics


async def test_uploads_while_the_scanner_is_away(tmp_path: Path, config: Config) -> None:
    away = settings(f"unix:{tmp_path}/none")
    async with running(config.using(away)) as daemon:
        account = await sign_up(daemon.addresses.http)
        answer = await upload(daemon, account.access_token, PDF)
        assert (answer.status, answer.body["code"], answer.body["retryable"]) == (503, "unavailable", True)
        assert (await daemon.rest("GET", "/readyz")).body["status"] == "degraded"
    async with running(config.using(replace(away, scan_required=False))) as daemon:
        account = await sign_up(daemon.addresses.http)
        assert (await upload(daemon, account.access_token, PDF)).status == 200


@pytest.fixture(scope="module")
def real_clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real clamd that knows one signature: that of the test file of EICAR."""
    program, folder = tool("clamd", "clamav-daemon"), tmp_path_factory.mktemp("clamd")
    database = folder / "database"
    database.mkdir()
    (database / "test.ndb").write_text(f"Eicar-Test-Signature:0:*:{EICAR.hex()}\n")
    configuration = folder / "clamd.conf"
    configuration.write_text(
        f"DatabaseDirectory {database}\nLocalSocket {folder}/clamd.ctl\nForeground yes\nStreamMaxLength 2M\n"
        f"LogFile {folder}/log\nUser {Path.home().owner()}\n"
    )
    server = subprocess.Popen([program, "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"unix:{folder}/clamd.ctl"
    finally:
        server.kill()
        server.wait()


async def test_a_real_clamd(real_clamd: str) -> None:
    path = real_clamd.removeprefix("unix:")
    with trio.fail_after(6 * PATIENCE):
        while not Path(path).exists():
            await trio.sleep(0.1)
    scanner = Scanner(settings(real_clamd))
    assert await code_of(scanner, b"clean" * 100_000) == "accepted"
    assert await code_of(scanner, picture(size=(500, 500))) == "accepted"
    assert await code_of(scanner, EICAR) == "bad_request"
    assert await code_of(scanner, bytes(3_000_000)) == "unavailable"
    assert (scanner.found, scanner.unscanned) == (1, 0)
