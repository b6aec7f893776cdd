"""Commands of admins about reports."""

import trio

from chatd.db.postgres import Postgres
from tests.admins import ANN, BEN, NOBODY, acts, daemon, db, done, order, refused, status_of
from tests.files import MP4, PDF, stored
from tests.moderation.test_reports import report
from tests.support import Answer, Daemon, covers

__all__ = ["daemon", "db"]
DEVICE = "the-device-of-somebody"


@covers("admin.reports")
@covers("admin.report")
async def test_reports_are_filtered_by_state_and_user(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        messages = [(await bob.send(conversation))["message"] for _ in range(3)]
        made = [await report(alice, conversation=conversation, message=message) for message in messages]
        back = await report(bob, user=alice.user, reason="spam")
        await done(daemon, "report.resolve", report=made[0], outcome="dismissed", note="nothing to it")

        async def found(**fields: str) -> list[str]:
            return [item["id"] for item in (await done(daemon, "reports", **fields))["items"]]

        assert await found() == [back, made[2], made[1]]
        assert await found(state="resolved") == [made[0]]
        assert await found(state="any", user=bob.user) == made[::-1]
        assert await found(user=alice.user) == [back]
        page = await done(daemon, "reports", state="any", limit=3)
        assert page["more"] is True
        assert await found(state="any", before=page["items"][-1]["id"]) == [made[0]]
        full = await done(daemon, "report", report=made[0])
        assert (full["report"]["outcome"], full["report"]["note"], full["report"]["resolved_by"]) == (
            "dismissed",
            "nothing to it",
            "ann",
        )
        known = await done(daemon, "user", user=bob.user)
        assert (known["reported"], known["reporters"], known["reports"]) == (3, 1, 1)
        assert await acts(daemon) == [("ann", "report.read", made[0]), ("ann", "report.resolve", made[0])]


async def opened(daemon: Daemon, report: str, upload: str, token: str = ANN, **fields: str) -> Answer:
    return await order(daemon, "report.file", token=token, report=report, upload=upload, **fields)


async def test_an_admin_opens_the_files_of_a_report_and_no_others(daemon: Daemon) -> None:
    """The picture, what was attached to a message in it; who opened which is in the audit log."""
    async with daemon.pair() as (alice, bob, conversation):
        picture = await stored(daemon, alice.account.access_token, PDF)
        shown = await stored(daemon, bob.account.access_token, MP4)
        private = await stored(daemon, bob.account.access_token, b"private")
        sent = await bob.send(conversation, attachments=[{"type": "file", "upload": shown["id"]}])
        plain = await report(alice, user=bob.user, reason="spam")
        made = await report(alice, conversation=conversation, message=sent["message"], picture=picture["id"])
        for upload, data in ((picture, PDF), (shown, MP4)):
            answer = await opened(daemon, made, upload["id"])
            assert (answer.status, answer.body, answer.headers["content-type"]) == (200, data, upload["mime"])
            assert answer.headers["content-security-policy"].startswith("sandbox")
        files = [("ann", "report.file", made)] * 2
        assert await acts(daemon) == files
        for report_id, upload_id in (
            (made, private["id"]),
            (plain, picture["id"]),
            (NOBODY, picture["id"]),
            (made, NOBODY),
        ):
            assert (await opened(daemon, report_id, upload_id)).status == 404
        for token, fields in ((BEN, {}), (BEN, {"tenant": "acme"}), (ANN, {"tenant": "acme"})):
            assert (await opened(daemon, made, picture["id"], token, **fields)).status == 404
        for token in ("", "guess", alice.account.access_token, bob.account.access_token):
            assert (await opened(daemon, made, picture["id"], token)).status == 401
        assert (await daemon.rest("GET", "/admin/report/file", token=ANN)).status == 405
        assert await acts(daemon) == files
        await daemon.rest("DELETE", f"/v1/uploads/{shown['id']}", token=bob.account.access_token)
        # What was reported stays readable for admins when its owner deletes it.
        assert (await opened(daemon, made, shown["id"])).status == 200


@covers("admin.report", "not_found")
@covers("admin.report.resolve", "not_found")
async def test_unknown_and_foreign_reports_are_not_found(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, _):
        id_ = await report(alice, user=bob.user)
        for command, fields in (("report", {}), ("report.resolve", {"outcome": "upheld"})):
            assert await refused(daemon, command, report=NOBODY, **fields) == "not_found"
            assert await refused(daemon, command, report=id_, tenant="acme", **fields) == "not_found"
            assert await refused(daemon, command, report=id_, tenant="acme", token=BEN, **fields) == "not_found"
            assert await refused(daemon, command, report=id_, token=BEN, **fields) == "not_found"
        assert (await order(daemon, "reports", tenant="acme", token=BEN)).body["items"] == []
        assert await acts(daemon) == []


@covers("admin.report.resolve")
async def test_resolution_can_include_a_ban(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice, daemon.person("bob", device=DEVICE) as bob:
        await alice.call("conversation.open", user=bob.user)
        id_ = await report(alice, user=bob.user)
        ban = {"lasts": 3600, "devices": True}
        assert (await done(daemon, "report.resolve", report=id_, outcome="upheld", ban=ban))["banned"] is True
        assert (await bob.ended()).code == 4403
        assert await status_of(daemon, bob) == 403
        assert (await daemon.rest("POST", "/v1/auth/anonymous", {"device": DEVICE})).status == 403
        bans = (await done(daemon, "bans"))["items"]
        assert {(ban["kind"], ban["reason"], ban["actor"]) for ban in bans} == {
            ("user", "abuse", "ann"),
            ("device", "abuse", "ann"),
        }
        assert [act for _, act, _ in await acts(daemon)].count("report.resolve") == 1


@covers("admin.report.resolve", "conflict")
async def test_report_is_resolved_once(daemon: Daemon) -> None:
    """If several admins resolve it at the same moment, one succeeds, and there is one strike."""
    async with daemon.pair() as (alice, bob, _):
        id_ = await report(alice, user=bob.user)
        answers: list[int] = []

        async def decide() -> None:
            answers.append((await order(daemon, "report.resolve", report=id_, outcome="upheld", strike=True)).status)

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(decide)
        assert sorted(answers) == [200] + [409] * 9
        assert (await done(daemon, "user", user=bob.user))["strikes"] == 1
        assert await bob.is_served()


async def test_invalid_sanctions_change_nothing(daemon: Daemon, db: Postgres) -> None:
    async with daemon.pair() as (alice, bob, _):
        id_ = await report(alice, user=bob.user)
        for fields in (
            {"outcome": "dismissed", "strike": True},
            {"outcome": "dismissed", "ban": {}},
            {"outcome": "upheld", "strike": True, "ban": {}},
            {"outcome": "perhaps"},
            {"outcome": "upheld", "ban": {"for": 5}},
        ):
            assert await refused(daemon, "report.resolve", report=id_, **fields) == "bad_request"
        await db.run("delete from users where id = $1", bob.user)
        assert await refused(daemon, "report.resolve", report=id_, outcome="upheld", ban={}) == "not_found"
        assert await refused(daemon, "report.resolve", report=id_, outcome="upheld", strike=True) == "not_found"
        assert (await done(daemon, "reports"))["items"][0]["state"] == "open"
        assert await acts(daemon) == []
        assert (await done(daemon, "report.resolve", report=id_, outcome="upheld"))["banned"] is False
