"""Commands of admins on one user: kick, revoke, strike, shadow ban, summary."""

from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.moderation.settings import ModerationSettings
from tests.admins import NOBODY, acts, administered, daemon, db, done, refused, status_of
from tests.support import Daemon, covers, running

__all__ = ["daemon", "db"]


@covers("admin.kick")
async def test_kick_only_closes_sessions(daemon: Daemon) -> None:
    async with daemon.person() as person, daemon.connected(person.account) as tablet, daemon.person() as other:
        await done(daemon, "kick", user=person.user)
        assert [(await session.ended()).code for session in (person, tablet)] == [1001, 1001]
        async with daemon.connected(person.account) as again:
            assert await again.is_served()
        assert await other.is_served()
        assert await acts(daemon) == [("ann", "user.kick", person.user)]


@covers("admin.revoke")
async def test_revoke_ends_all_logins_without_a_ban(daemon: Daemon) -> None:
    async with daemon.person(device="the-device-of-somebody") as person, daemon.connected(person.account) as tablet:
        await done(daemon, "revoke", user=person.user)
        assert [(await session.ended()).code for session in (person, tablet)] == [4404, 4404]
        assert await status_of(daemon, person) == 401
        refresh = {"refresh_token": person.account.refresh_token}
        assert (await daemon.rest("POST", "/v1/auth/refresh", refresh)).status == 401
        async with daemon.person(device="the-device-of-somebody") as again:
            assert again.user == person.user
        assert await acts(daemon) == [("ann", "user.revoke", person.user)]


@covers("admin.kick", "not_found")
@covers("admin.revoke", "not_found")
@covers("admin.strike", "not_found")
@covers("admin.shadow", "not_found")
@covers("admin.user", "not_found")
async def test_unknown_user_is_not_found(daemon: Daemon) -> None:
    async with daemon.person() as person:
        for command in ("kick", "revoke", "strike", "shadow", "user"):
            reason = {"reason": "spam"} if command == "strike" else {}
            assert await refused(daemon, command, user=NOBODY, **reason) == "not_found"
            assert await refused(daemon, command, user=person.user, tenant="acme", **reason) == "not_found"
        assert await acts(daemon) == []


@covers("admin.strike")
async def test_strikes_end_in_bans(config: Config) -> None:
    settings = ModerationSettings(strikes=["2:1h", "4:ever"])
    async with running(administered(config).using(settings)) as daemon, daemon.person() as person:
        struck = [await done(daemon, "strike", user=person.user, reason="spam") for _ in range(4)]
        assert [strike["count"] for strike in struck] == [1, 2, 3, 4]
        assert [strike["ban"] is not None for strike in struck] == [False, True, True, True]
        assert [strike["until"] is None for strike in struck] == [True, False, False, True]
        assert (await person.ended()).code == 4403
        assert await status_of(daemon, person) == 403
        known = await done(daemon, "user", user=person.user)
        assert (known["strikes"], known["bans"], known["logins"]) == (4, 3, 0)
        log = [act for _, act, subject in await acts(daemon) if subject == person.user]
        assert (log.count("strike.add"), log.count("ban.add")) == (4, 3)


@covers("admin.strike")
async def test_a_strike_counts_for_a_while(daemon: Daemon, db: Postgres) -> None:
    async with daemon.person() as person:
        for _ in range(2):
            await done(daemon, "strike", user=person.user, reason="spam")
        await db.run("update strikes set expires_at = created_at where user_id = $1", person.user)
        struck = await done(daemon, "strike", user=person.user, reason="spam")
        assert (struck["count"], struck["ban"]) == (1, None)
        assert await person.is_served()


@covers("admin.shadow")
@covers("admin.user")
async def test_user_summary_is_complete(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, _):
        await done(daemon, "shadow", user=bob.user)
        assert (await done(daemon, "user", user=alice.user))["shadow"] is False
        known = await done(daemon, "user", user=bob.user)
        assert {name: known[name] for name in ("user", "name", "anonymous", "shadow", "conversations", "logins")} == {
            "user": bob.user,
            "name": "bob",
            "anonymous": True,
            "shadow": True,
            "conversations": 1,
            "logins": 1,
        }
        await done(daemon, "shadow", user=bob.user, on=False)
        assert (await done(daemon, "user", user=bob.user))["shadow"] is False
        assert await acts(daemon) == [("ann", "user.unshadow", bob.user), ("ann", "user.shadow", bob.user)]
        assert await bob.is_served()
        assert not [event for event in bob.events if event["t"] != "conversation.update"], "nobody is told"


@covers("admin.shadow")
async def test_shadow_banned_users_are_matched_with_each_other_only(daemon: Daemon) -> None:
    async with daemon.people(4) as (alice, bob, eve, ann):
        for person in (bob, eve):
            await done(daemon, "shadow", user=person.user)
        for person in (alice, bob, eve, ann):
            await person.call("match.find")
        for one, other in ((bob, eve), (alice, ann)):
            assert await one.found(other)
