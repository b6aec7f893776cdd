"""SIGTERM from the view of a load balancer: it is notified in time, no request is refused, and running ones finish."""

import os
import signal

import trio
from msgspec.structs import replace

from chatd.client import sign_up
from chatd.core.config import Config
from tests.http.raw import HttpPort
from tests.support import PATIENCE, Answer, Daemon, running

# Seconds; long enough for the visits of an overloaded machine.
NOTICE = 4.0
VISITS = 5


async def status(daemon: Daemon) -> tuple[int, str]:
    answer = await daemon.rest("GET", "/readyz")
    return answer.status, answer.body["status"]


async def test_readiness_fails_before_the_ports_close(config: Config) -> None:
    async with (
        running(replace(config, drain=replace(config.drain, notice=NOTICE, spread=0.1))) as daemon,
        daemon.person() as early,
    ):
        host, port = daemon.addresses.socket.removeprefix("ws://").partition("/")[0].split(":")
        socket = HttpPort(host, int(port))
        account = await sign_up(daemon.addresses.http)
        async with HttpPort.of(daemon).connected() as busy:
            await busy.send_all(upload_head(account.access_token))
            os.kill(os.getpid(), signal.SIGTERM)
            with trio.fail_after(NOTICE):
                while await status(daemon) != (503, "draining"):
                    pass
            assert (await daemon.rest("GET", "/v1/socket/ping")).status == 503
            async with daemon.connected(account) as late:
                assert await late.is_served()
                assert await early.is_served()
                for _ in range(VISITS):
                    async with socket.connected(), HttpPort.of(daemon).connected():
                        assert (await daemon.rest("GET", "/v1/conversations", token=account.access_token)).status == 200
                for person in (early, late):
                    assert (await person.ended()).code == 1001
            await busy.send_all(b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\nhello\r\n--b--\r\n")
            with trio.fail_after(PATIENCE):
                assert (await Answer.receive(busy)).status == 200


def upload_head(token: str) -> bytes:
    fields = ["POST /v1/uploads HTTP/1.1", "Host: a", f"Authorization: Bearer {token}", "Content-Length: 64"]
    return "\r\n".join([*fields, "Content-Type: multipart/form-data; boundary=b", "", ""]).encode()
