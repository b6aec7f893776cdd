"""The admin command that erases a user."""

from tests.admins import NOBODY, acts, daemon, db, done, refused, status_of
from tests.support import Daemon, covers

__all__ = ["daemon", "db"]


@covers("admin.erase")
@covers("admin.erase", "not_found")
async def test_an_admin_erases_a_user(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        assert await refused(daemon, "erase", user=alice.user, confirm=False) == "bad_request"
        assert await alice.is_served()
        assert await done(daemon, "erase", user=alice.user, confirm=True) == {"t": "admin.erased", "started": True}
        assert (await alice.ended()).code == 4404
        assert await status_of(daemon, alice) == 401
        assert (await done(daemon, "erase", user=alice.user, confirm=True))["started"] is False
        assert await acts(daemon) == [("ann", "user.erase", alice.user)]
        for wrong in ({"user": NOBODY}, {"user": alice.user, "tenant": "acme"}):
            assert await refused(daemon, "erase", confirm=True, **wrong) == "not_found"
