"""The command `ping`."""

from tests.support import Daemon, covers


@covers("ping")
async def test_ping_returns_the_timestamp(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        pong = await alice.call("ping", ts=5)
        assert (pong["ts"], pong["server_time"] > 1_700_000_000_000) == (5, True)
