"""Commands of admins for the whole cluster."""

import trio

from tests.admins import BEN, acts, daemon, done, refused
from tests.support import Daemon, covers, poll_until

__all__ = ["daemon"]


@covers("admin.maintenance")
async def test_maintenance_is_announced_and_audited(daemon: Daemon) -> None:
    async with daemon.person() as person:
        await done(daemon, "maintenance", on=True, message="back at noon", lasts=60)
        event = await person.event("maintenance.mode")
        assert (event["enabled"], event["message"], event["retry_after"]) == (True, "back at noon", 60.0)
        assert (await person.refused("match.find")).code == "maintenance"
        await done(daemon, "maintenance", on=False)
        assert (await person.event("maintenance.mode"))["enabled"] is False
        assert await acts(daemon) == [("ann", "maintenance.off", "all nodes"), ("ann", "maintenance.on", "all nodes")]


@covers("admin.drain")
async def test_a_drain_is_carried_out_and_audited(daemon: Daemon) -> None:
    async with daemon.person() as person:
        await done(daemon, "drain", node="another-one")
        assert await person.is_served()
        await done(daemon, "drain", over=0)
        assert (await person.ended()).code == 1001
        await poll_until(lambda: is_open(daemon), lambda open_: not open_)


async def is_open(daemon: Daemon) -> bool:
    host, _, port = daemon.addresses.http.removeprefix("http://").partition(":")
    try:
        async with await trio.open_tcp_stream(host, int(port)):
            return True
    except OSError:
        return False


@covers("admin.maintenance", "forbidden")
@covers("admin.drain", "forbidden")
async def test_admin_of_some_tenants_cannot_drain_nodes(daemon: Daemon) -> None:
    async with daemon.person() as person:
        for command, fields in (("maintenance", {"on": True}), ("drain", {})):
            assert await refused(daemon, command, token=BEN, tenant="acme", **fields) == "forbidden"
            assert await refused(daemon, command, token=BEN, **fields) == "not_found"
        assert await person.is_served()
        assert await acts(daemon) == []
