"""The client against a whole daemon, over an unstable connection."""

import time
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.external_ids import user_id_of
from chatd.accounts.settings import AuthSettings
from chatd.client import Account, Ended, ProvidedAccount, Refused, connect, sign_up
from chatd.client.upload import upload
from chatd.core.config import Config
from chatd.uploads.settings import UploadSettings
from tests.client.line import line_to
from tests.support import PATIENCE, Daemon, dropped, eventually, running, shared, texts

daemon = shared


async def test_unstable_connection_loses_and_repeats_nothing(daemon: Daemon) -> None:
    http = daemon.addresses.http
    alice, bob = await sign_up(http, name="alice"), await sign_up(http, name="bob")
    async with line_to(daemon) as line, connect(line.url, alice) as a, connect(line.url, bob, codec="json") as b:
        for client in (a, b):
            client._backoff._most = 0.05
        conversation = (await a.open(bob.user)).conversation.id
        wanted = [f"m{number}" for number in range(60)]
        sendings = [a.send_nowait(conversation, text) for text in wanted]
        for number in range(0, 60, 15):
            await sendings[number].ack()
            line.cut()
        seqs = [(await sending.ack()).seq for sending in sendings]
        assert seqs == list(range(1, 61))
        assert await texts(b, 60) == wanted


async def test_client_with_a_saved_position_gets_the_missed_events(daemon: Daemon) -> None:
    http, socket = daemon.addresses.http, daemon.addresses.socket
    alice, bob = await sign_up(http, name="alice"), await sign_up(http, name="bob")
    async with connect(socket, alice) as a:
        conversation = (await a.open(bob.user)).conversation.id
        async with connect(socket, bob) as b:
            await a.send(conversation, "one")
            assert await texts(b, 1) == ["one"]
            position = b.position
        await a.send(conversation, "two")
        await a.send(conversation, "three")
        async with connect(socket, bob, position=position) as b:
            assert await texts(b, 2) == ["two", "three"]


async def test_changes_while_offline_are_emitted_in_order(daemon: Daemon) -> None:
    """A new message that was edited since comes with a later page of the sync, possibly the last one."""
    http, socket = daemon.addresses.http, daemon.addresses.socket
    alice, bob = await sign_up(http, name="alice"), await sign_up(http, name="bob")
    async with connect(socket, alice) as a:
        conversation = (await a.open(bob.user)).conversation.id
        async with connect(socket, bob) as b:
            position = b.position
        wanted = [f"m{number}" for number in range(150)]
        acks = [await sending.ack() for sending in [a.send_nowait(conversation, text) for text in wanted]]
        for number in (120, 3):
            wanted[number] += ", edited"
            await a.edit(conversation, acks[number].message, wanted[number])
        async with connect(socket, bob, position=position) as b:
            assert await texts(b, 150) == wanted


async def test_short_token_is_renewed_on_the_open_connection(config: Config) -> None:
    short = config.using(replace(config.get(AuthSettings), access_ttl=1.5, leeway=0.0))
    async with running(short) as daemon:
        account = await sign_up(daemon.addresses.http)
        first = account.access_token
        async with connect(daemon.addresses.socket, account) as client:
            await eventually(lambda: account.access_token != first)
            assert (await client.ping(7)).ts == 7


async def test_tokens_of_a_provider_are_fetched_when_they_are_needed(config: Config) -> None:
    """For the first connection, on the open one, for an upload, and not twice for the same need."""
    async with running(config.using(replace(config.get(AuthSettings), leeway=0.0))) as daemon:
        fetched = list[str]()

        async def fetch() -> str:
            if not fetched:
                fetched.append("")
                raise OSError("the provider does not answer")
            # A minute before the end the server asks for another one.
            fetched.append(daemon.token("ann@example.org", exp=int(time.time()) + 60, n=len(fetched)))
            return fetched[-1]

        account = ProvidedAccount(daemon.addresses.http, fetch)
        async with connect(daemon.addresses.socket, account) as client:
            assert (await client.upload(b"hello")).size == 5
            assert (await client.me()).user.external_id == "ann@example.org"
            await eventually(lambda: len(fetched) > 2)
            assert (await client.ping(7)).ts == 7
            account.access_token = daemon.token("ann@example.org", exp=1)
            assert (await client.upload(b"again")).size == 5
        assert client.user == user_id_of("default", "ann@example.org")


async def test_permanent_refusal_is_raised(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    async with connect(daemon.addresses.socket, account) as client:
        with pytest.raises(Refused) as caught:
            await client.send(account.user, "to nobody")
        assert caught.value.code == "not_found"
    with pytest.raises(Refused):
        async with connect(daemon.addresses.socket, "x.y.z"):
            pass


async def test_logged_out_client_does_not_reconnect(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    with pytest.raises(Ended), trio.fail_after(PATIENCE):  # noqa: PT012
        async with connect(daemon.addresses.socket, account) as client:
            await client.logout()
            await trio.sleep_forever()


async def test_file_is_uploaded_from_memory_and_from_a_path(daemon: Daemon, tmp_path: Path) -> None:
    account = await sign_up(daemon.addresses.http)
    path = tmp_path / 'a "quoted"\nname.pdf'
    path.write_bytes(b"%PDF-1.7 and more")
    async with connect(daemon.addresses.socket, account) as client:
        one = await client.upload(path)
        assert (one.mime, one.size, one.name) == ("application/pdf", 17, 'a "quoted"%0Aname.pdf')
        two = await client.upload(b"--boundary--\r\n" * 10, "text/html\r\nX: y")
        assert (two.mime, two.size) == ("application/octet-stream", 140)
        with pytest.raises(Refused) as caught:
            await client.upload(b"x" * (daemon.config.get(UploadSettings).max_bytes + 1))
        assert caught.value.code == "too_large"
    async with connect(daemon.addresses.socket, account.access_token) as client:
        with pytest.raises(TypeError):
            await client.upload(b"x")


async def test_file_is_uploaded_after_the_token_has_expired(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    async with connect(daemon.addresses.socket, account) as client:
        account.access_token = daemon.token(account.user, exp=1)
        assert (await client.upload(b"hello")).size == 5


class Proxy:
    """Forwards connections to the server, and ends one after some bytes of a request; `left`: how many it ends."""

    def __init__(self, http: str, after: int) -> None:
        host, _, port = http.removeprefix("http://").partition(":")
        self.left = 0
        self._place = (host, int(port))
        self._after = after

    async def serve(self, client: trio.SocketStream) -> None:
        async with client, await trio.open_tcp_stream(*self._place) as server, trio.open_nursery() as nursery:
            nursery.start_soon(self._forward, server, client, nursery.cancel_scope)
            sent = 0
            async for part in client:
                sent += len(part)
                if self.left and sent > self._after:
                    self.left -= 1
                    break
                await server.send_all(part)
            nursery.cancel_scope.cancel()

    async def _forward(self, server: trio.SocketStream, client: trio.SocketStream, scope: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError):
            async for part in server:
                await client.send_all(part)
        scope.cancel()


async def test_file_is_uploaded_in_parts_with_progress(daemon: Daemon, tmp_path: Path) -> None:
    account, path = await sign_up(daemon.addresses.http), tmp_path / "Ängste.bin"
    data = bytes(range(256)) * 5000
    path.write_bytes(data)
    shown = list[tuple[int, int]]()
    async with connect(daemon.addresses.socket, account) as client:
        account.access_token = daemon.token(account.user, exp=1)
        one = await client.upload(path, progress=lambda sent, total: shown.append((sent, total)))
        assert (one.size, one.name) == (len(data), "Ängste.bin")
        sent = [count for count, _ in shown]
        assert sent == sorted(sent)
        assert len(sent) > 3
        assert (sent[0], shown[-1]) == (0, (len(data), len(data)))
        assert (await client.upload(b"", progress=lambda sent, total: None)).size == 0
        with pytest.raises(Refused) as caught:
            await client.upload(b"\x89PNG\r\n\x1a\n" + bytes(100), progress=lambda sent, total: None)
        assert caught.value.code == "bad_request"
        too_large = b"x" * (daemon.config.get(UploadSettings).max_bytes + 1)
        with pytest.raises(Refused) as caught:
            await client.upload(too_large, progress=lambda sent, total: None)
        assert caught.value.code == "too_large"


async def test_upload_goes_on_after_connections_that_broke_off(daemon: Daemon) -> None:
    data, account = bytes(range(256)) * 6000, await sign_up(daemon.addresses.http)
    proxy = Proxy(daemon.addresses.http, 300_000)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
        behind_proxy = Account(
            f"http://127.0.0.1:{listener.socket.getsockname()[1]}", account.user, account.access_token, ""
        )
        shown = list[int]()
        proxy.left = 3
        done = await upload(behind_proxy, data, progress=lambda sent, total: shown.append(sent))
        assert (done.size, shown[-1], proxy.left) == (len(data), len(data), 0)
        assert shown == sorted(shown)
        nursery.cancel_scope.cancel()


async def test_reader_that_stalls_and_resumes_misses_nothing(config: Config) -> None:
    """The connection stays open, its conversations get `behind`, and the client syncs them."""
    small = replace(config, gateway=replace(config.gateway, outbox_bytes=65536, outbox_frames=50, stall_timeout=60.0))
    async with running(small) as daemon, line_to(daemon) as line, daemon.person() as alice, daemon.person() as carol:
        account = await sign_up(daemon.addresses.http, name="bob")
        async with connect(line.url, account) as bob:
            await bob.call("ping", ts=0)
            session = bob.hello.session
            conversations = [(await alice.call("conversation.open", user=account.user)).conversation.id]
            conversations.append(
                (await alice.call("conversation.create", title="t", members=[account.user])).conversation.id
            )
            neighbour = (await alice.call("conversation.open", user=carol.user)).conversation.id
            line.stall()
            count = 0
            with trio.fail_after(6 * PATIENCE):
                while await dropped(daemon) < 20:
                    await alice.send(conversations[count % 2], f"{count} " + "x" * 15000)
                    count += 1
            await alice.send(neighbour, "not harmed")
            assert (await carol.event("message.new")).message.text == "not harmed"
            line.flow()
            await alice.send(conversations[0], "last 0")
            await alice.send(conversations[1], "last 1")
            seen = [text.split() for text in await texts(bob, count + 2)]
            for place, conversation in enumerate(conversations):
                mine = [int(text[0]) for text in seen if text[0] != "last" and int(text[0]) % 2 == place]
                assert mine == list(range(place, count, 2)), conversation
            assert ["last", "0"] in seen
            assert bob.state == "connected"
            assert bob.hello.session == session
            assert (await bob.call("ping", ts=1)).ts == 1
