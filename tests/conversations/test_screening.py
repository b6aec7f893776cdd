"""Screening of messages before they are stored: filters, and a hook that is a real HTTP server."""

import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from chatd.conversations.settings import MessageLogSettings
from chatd.core.circuit_breaker import MAX_FAILURES, Circuit
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.filters.moderation_hook import Question, open_hook
from chatd.filters.service import InvalidFilters, check_filters
from chatd.filters.settings import FilterSettings, HookSettings
from tests.outside import Answers, Asked, Outside, answer, outside
from tests.support import NOBODY, PATIENCE, Daemon, Person, covers, eventually, restarted, running

SECRET = "a secret of more than thirty-two bytes"
ALLOW = {"allow": True}


@asynccontextmanager
async def hooked(config: Config, answers: Answers, **settings: Any) -> AsyncIterator[tuple[Daemon, Outside]]:
    async with outside(answers) as server:
        hook = HookSettings(**{"url": server.url, "secret": SECRET, "allow_private": True, "timeout": 60.0, **settings})
        # The time of the hook counts for the deadline of the message.
        patient = replace(config.get(MessageLogSettings), deadline=PATIENCE)
        async with running(config.using(hook, patient)) as daemon:
            yield daemon, server


async def allow(_: Asked) -> bytes:
    return answer(ALLOW)


async def texts_of(person: Person, conversation: str) -> list[str]:
    return [message["text"] for message in (await person.call("message.history", conversation=conversation))["items"]]


# --- filters ------------------------------------------------------------------------------------------------------


@covers("message.send", "forbidden")
async def test_refusal_does_not_reveal_the_word_list(config: Config) -> None:
    filters = FilterSettings(words=["darn", "verysecretword"], links="listed", link_hosts=["good.com"])
    async with running(config.using(filters)) as daemon, daemon.pair() as (alice, bob, conversation):
        refused = await alice.refused(
            "message.send", conversation=conversation, client_id="a", text="Well, D\u0430RN it"
        )
        assert (refused.code, refused.row.retryable, refused.details) == ("forbidden", False, {"filter": "words"})
        assert "secret" not in str(refused)
        refused = await alice.refused(
            "message.send", conversation=conversation, client_id="a", text="https://good.com@evil.com"
        )
        assert (refused.code, refused.details) == ("forbidden", {"filter": "links"})
        assert (await alice.call("message.send", conversation=conversation, client_id="a", text="good.com"))["seq"] == 1
        assert await texts_of(bob, conversation) == ["good.com"]


async def test_words_are_masked_in_events_and_in_the_database(config: Config) -> None:
    filters = FilterSettings(words=["darn"], action="mask")
    async with running(config.using(filters)) as daemon, daemon.pair() as (alice, bob, conversation):
        assert (await alice.send(conversation, "Darn it"))["text"] == "**** it"
        assert (await bob.event("message.new"))["message"]["text"] == "**** it"
        assert "text" not in await alice.send(conversation, "it")
        assert await texts_of(alice, conversation) == ["**** it", "it"]


async def test_tenant_filters_replace_the_default_filters(config: Config) -> None:
    own = config.using(FilterSettings(words=["darn"])).using_named(
        FilterSettings, {"default": FilterSettings(links="none")}
    )
    async with running(own) as daemon, daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, "darn")
        assert (
            await alice.refused("message.send", conversation=conversation, client_id="a", text="a.com")
        ).code == "forbidden"


async def test_stored_message_is_acked_again_after_a_filter_was_added(config: Config) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        first = await alice.call("message.send", conversation=conversation, client_id="c", text="darn")
        account = alice.account
    filtering = restarted(config).using(FilterSettings(words=["darn"]))
    async with running(filtering) as daemon, daemon.connected(account) as alice:
        again = await alice.call("message.send", conversation=conversation, client_id="c", text="darn")
        assert (again["duplicate"], again["message"], again["seq"]) == (True, first["message"], first["seq"])
        assert (
            await alice.refused("message.send", conversation=conversation, client_id="d", text="darn")
        ).code == "forbidden"


async def test_an_attachment_needs_no_text(config: Config) -> None:
    async with (
        running(config.using(FilterSettings(words=["darn"]))) as daemon,
        daemon.pair() as (alice, _, conversation),
    ):
        sent = await alice.call(
            "message.send", conversation=conversation, client_id="a", attachments=[{"url": "https://x.test/a"}]
        )
        assert sent["seq"] == 1


# --- the hook -----------------------------------------------------------------------------------------------------


async def test_hook_request_is_complete_and_signed(config: Config) -> None:
    async with hooked(config, allow) as (daemon, server), daemon.pair() as (alice, _, conversation):
        original = await alice.send(conversation, "first")
        await alice.send(
            conversation,
            "grüße",
            client_id="c",
            reply_to=original["message"],
            meta={"a": 1},
            attachments=[{"url": "https://x.test/b"}],
        )
        asked = server.asked[1]
        assert asked.method == "POST"
        assert asked.json == {
            "event": "message.before",
            "tenant": "default",
            "conversation": conversation,
            "kind": "direct",
            "sender": alice.user,
            "text": "grüße",
            "attachments": [{"type": "link", "url": "https://x.test/b"}],
            "reply_to": original["message"],
            "meta": {"a": 1},
            "client_id": "c",
            "actions": [],
        }
        stamp, _, code = asked.headers["x-chatd-signature"].partition(",v1=")
        signed = stamp.removeprefix("t=").encode() + b"." + asked.body
        assert code == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()


async def test_hook_verdict_is_applied(config: Config) -> None:
    async def judge(asked: Asked) -> bytes:
        text = asked.json["text"]
        verdicts = {
            "no": {"allow": False, "reason": "because " + "x" * 1000},
            "never": {"allow": False},
            "old": {"allow": True, "text": "new"},
        }
        return answer(verdicts.get(text, {"allow": True, "something": "else"}))

    async with hooked(config, judge) as (daemon, _), daemon.pair() as (alice, bob, conversation):
        refused = await alice.refused("message.send", conversation=conversation, client_id="a", text="no")
        assert (refused.code, refused.row.retryable) == ("forbidden", False)
        assert refused.details == {"filter": "hook", "reason": "because " + "x" * 192}
        refused = await alice.refused("message.send", conversation=conversation, client_id="a", text="never")
        assert (refused.code, refused.details) == ("forbidden", {"filter": "hook"})
        await alice.send(conversation, "old")
        assert (await bob.event("message.new"))["message"]["text"] == "new"
        await alice.send(conversation, "as it is")
        assert await texts_of(alice, conversation) == ["new", "as it is"]


async def test_hook_gets_the_text_after_the_filters(config: Config) -> None:
    masked = config.using(FilterSettings(words=["darn"], links="none", action="mask"))
    async with hooked(masked, allow) as (daemon, server), daemon.pair() as (alice, _, conversation):
        assert (
            await alice.refused("message.send", conversation=conversation, client_id="a", text="a.com")
        ).code == "forbidden"
        assert server.asked == []
        await alice.send(conversation, "darn it")
        assert server.asked[0].json["text"] == "**** it"


async def test_hook_is_not_called_for_stored_messages_and_non_members(config: Config) -> None:
    async with (
        hooked(config, allow) as (daemon, server),
        daemon.pair() as (alice, _, conversation),
        daemon.person() as stranger,
    ):
        first = await alice.call("message.send", conversation=conversation, client_id="c", text="x")
        again = await alice.call("message.send", conversation=conversation, client_id="c", text="x")
        assert (again["duplicate"], again["message"], again["rev"]) == (True, first["message"], first["rev"])
        for place in (conversation, NOBODY):
            refused = await stranger.refused("message.send", conversation=place, client_id="c", text="x")
            assert (refused.code, refused.message) == ("not_found", "no such conversation")
        assert len(server.asked) == 1


async def down(_: Asked) -> bytes:
    return answer({"allow": True}, "500 Internal Server Error")


async def inside(_: Asked) -> bytes:
    return answer(ALLOW, "302 Found", Location="http://169.254.169.254/")


async def huge(_: Asked) -> bytes:
    return answer({"allow": True, "text": "x" * 100_000})


async def too_long(_: Asked) -> bytes:
    return answer({"allow": True, "text": "x" * 20_000})


async def with_nul(_: Asked) -> bytes:
    return answer(b'{"allow":true,"text":"a\\u0000b"}')


async def empty(_: Asked) -> bytes:
    return answer({"allow": True, "text": ""})


async def deep(_: Asked) -> bytes:
    return answer(b'{"allow":true,"x":' + b"[" * 60_000 + b"}")


async def vague(_: Asked) -> bytes:
    return answer({"allow": "yes"})


async def silent(_: Asked) -> bytes:
    await trio.sleep_forever()
    raise AssertionError


FAILING: dict[str, Answers] = {
    "down": down, "inside": inside, "huge": huge, "too long": too_long, "NUL": with_nul, "empty": empty, "deep": deep,
    "vague": vague, "silent": silent,
}  # fmt: skip


async def fail_by_text(asked: Asked) -> bytes:
    return await FAILING.get(asked.json["text"], allow)(asked)


async def test_failing_hook_is_handled_as_configured(config: Config) -> None:
    """The message is refused and can be sent again; valid messages pass in between."""
    async with hooked(config, fail_by_text, timeout=5.0) as (daemon, server), daemon.pair() as (alice, _, conversation):
        for text in FAILING:
            refused = await alice.refused("message.send", conversation=conversation, client_id="a", text=text)
            assert (refused.code, refused.row.retryable, refused.retry_after) == ("unavailable", True, 1), text
            await alice.send(conversation, "fine")
        assert len(server.asked) == 2 * len(FAILING)
        assert await texts_of(alice, conversation) == ["fine"] * len(FAILING)


async def test_messages_pass_without_a_verdict_if_configured(config: Config) -> None:
    settings = {"timeout": 5.0, "on_failure": "allow"}
    async with hooked(config, fail_by_text, **settings) as (daemon, _), daemon.pair() as (alice, _, conversation):
        for text in ("down", "silent", "deep", "inside"):
            await alice.send(conversation, text)
        assert await texts_of(alice, conversation) == ["down", "silent", "deep", "inside"]


async def test_failing_hook_is_paused_and_logged_once(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with (
            hooked(config, down, on_failure="allow") as (daemon, server),
            daemon.pair() as (alice, _, room),
        ):
            for number in range(20):
                await alice.send(room, f"private {number}")
            assert len(server.asked) == MAX_FAILURES
    ((message, cause),) = logged_of_hook(caplog)
    assert (message, bool(cause)) == ("moderation hook failed", True)
    logged = "".join(str(vars(record)) for record in caplog.records if record.name.startswith("chatd"))
    assert not any(secret in logged for secret in (SECRET, "not-for-the-log", "private 1"))


def logged_of_hook(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    return [
        (record.getMessage(), vars(record).get("cause")) for record in caplog.records if "hook" in record.getMessage()
    ]


async def test_a_hook_that_works_again_is_called_after_the_pause(caplog: pytest.LogCaptureFixture) -> None:
    failing = True

    async def down_at_first(asked: Asked) -> bytes:
        return await down(asked) if failing else answer(ALLOW)

    question = Question(
        tenant="default", conversation=NOBODY, kind="direct", sender=NOBODY, text="hello", attachments=[], reply_to=None,
        meta=None, client_id="a",
    )  # fmt: skip
    circuit = Circuit(max_failures=5, pause_s=1.1)
    async with outside(down_at_first) as server:
        settings = HookSettings(url=server.url, secret=SECRET, allow_private=True, on_failure="allow")
        async with open_hook(settings, 1000, now_ms, circuit) as hook:
            with caplog.at_level(logging.INFO):
                for _ in range(20):
                    assert await hook.ask(question) == "hello"
                assert len(server.asked) == 5
                failing = False
                # Longer than the pause, after which one caller tries.
                await trio.sleep(1.2)
                assert await hook.ask(question) == "hello"
                assert len(server.asked) == 6
    assert [message for message, _ in logged_of_hook(caplog)] == [
        "moderation hook failed",
        "moderation hook recovered",
    ]


async def test_slow_verdict_delays_only_its_own_connection(config: Config) -> None:
    release = trio.Event()

    async def slow_for_some(asked: Asked) -> bytes:
        if asked.json["text"] == "slow":
            await release.wait()
        return answer(ALLOW)

    async with hooked(config, slow_for_some) as (daemon, _), daemon.pair() as (alice, bob, conversation):
        done: list[str] = []

        async def send(text: str) -> None:
            await alice.send(conversation, text)
            done.append(text)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "slow")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(send, "after it")
            for number in range(10):
                await bob.send(conversation, f"bob {number}")
            assert done == []
            release.set()
        assert done == ["slow", "after it"]
        assert await texts_of(bob, conversation) == [*(f"bob {number}" for number in range(10)), "slow", "after it"]


async def test_messages_waiting_for_the_hook_are_bounded(config: Config) -> None:
    release = trio.Event()

    async def waits(_: Asked) -> bytes:
        await release.wait()
        return answer(ALLOW)

    async with (
        hooked(config, waits, max_waiting=1) as (daemon, server),
        daemon.pair() as (alice, bob, conversation),
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.send, conversation, "one")
            await eventually(lambda: server.asked)
            assert (
                await bob.refused("message.send", conversation=conversation, client_id="b", text="x")
            ).code == "unavailable"
            release.set()
        assert (await bob.send(conversation))["seq"] == 2


async def test_hook_on_a_private_address_requires_allow_private(config: Config) -> None:
    """Also by a name that resolves to a private address."""
    async with outside(allow) as server:
        hook = HookSettings(url=f"https://localhost:{server.port}/", secret=SECRET, on_failure="allow")
        async with running(config.using(hook)) as daemon, daemon.pair() as (alice, _, conversation):
            await alice.send(conversation)
        assert server.asked == []


@pytest.mark.parametrize("settings", [
    Config().using(HookSettings(url="http://a.test", secret=SECRET)),
    Config().using(HookSettings(url="https://a.test")),
    Config().using(HookSettings(url="https://a.test", secret="short")),
    Config().using(HookSettings(url="https://u:p@a.test", secret=SECRET)),
    Config().using(HookSettings(url="ftp://a.test", secret=SECRET, allow_private=True)),
    Config().using(HookSettings(url="hook", secret=SECRET)),
    Config().using(FilterSettings(words=["fine", ""])),
    Config().using(FilterSettings(links_denied=["https://a.test/"])),
    Config().using_named(FilterSettings, {"acme": FilterSettings(links="listed", link_hosts=["a b"])}),
])  # fmt: skip
async def test_invalid_filter_settings_are_rejected(settings: Config) -> None:
    with pytest.raises(InvalidFilters):
        check_filters(settings)
