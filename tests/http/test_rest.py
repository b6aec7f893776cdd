"""Every command over REST: the same struct, the same dispatch, the same answer as over the WebSocket."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.settings import AccountLimits
from chatd.app.registry import Guard, Row
from chatd.client import Refused
from chatd.core.config import Config
from chatd.core.errors import REFUSALS
from chatd.subsystems import load_registry
from chatd.wire.codec import tag_of
from chatd.wire.reference.examples import example_body
from chatd.wire.reference.json_schema import FIELD, WITH_QUERY
from tests.files import PDF, stored
from tests.http.raw import HttpPort
from tests.support import NOBODY, Answer, Daemon, Person, running, shared

daemon = shared

ROWS = [row for row in load_registry().commands.values() if row.http and row.guard not in (Guard.ADMIN, Guard.SERVER)]
MATCHING = tuple(row.tag for row in ROWS if row.tag.startswith("match."))
# What has a test of its own: it needs somebody else, another time, or ends everything.
APART = (*MATCHING, "me.erase", "message.schedule", "schedule.cancel", "schedule.edit")
TWICE = (
    "conversation.open", "message.send", "message.delete", "receipt.delivered", "receipt.read", "typing.start", "typing.stop",
    "reaction.add", "reaction.remove", "message.star", "user.block", "user.settings", "invite.show",
)  # fmt: skip
IN_ORDER = sorted((row for row in ROWS if row.tag not in APART), key=lambda row: row.tag == "auth.logout")


def request_of(row: Row, **known: str) -> tuple[str, str, Any]:
    """Method, path with query, body: the example of the command, with ids that exist."""
    method, path = row.http.split(" ")
    fields = {**example_body(row.command), **known}
    fields = {name: value for name, value in fields.items() if name in row.command.__struct_fields__}
    for name in FIELD.findall(path):
        path = path.replace(f"{{{name}}}", quote(fields.pop(name)))
    if method in WITH_QUERY:
        return method, f"{path}?{urlencode(fields)}", None
    return method, path, fields


async def test_route_returns_its_declared_result(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation)
        known: dict[str, Any] = {
            "conversation": conversation,
            "user": bob.user,
            "members": [bob.user],
            "seq": 1,
            "rev": 0,
        }
        known |= {"refresh_token": alice.account.refresh_token}
        known |= {"upload": (await stored(daemon, alice.account.access_token, PDF))["id"]}
        done = 0
        for row in IN_ORDER:
            session = {"Chatd_Session": alice.hello["session"]} if row.of_session else {}
            answer = await daemon.rest(*request_of(row, **known), alice.account.access_token, **session)
            refusal = answer.body.get("code")
            assert answer.body["t"] == (tag_of(row.result) if refusal is None else "error"), (row.tag, answer.body)
            assert refusal is None or refusal in row.refuses, (row.tag, answer.body)
            assert answer.status == (200 if refusal is None else REFUSALS[refusal].status)
            done += refusal is None
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert "server" not in answer.headers
        assert done > len(IN_ORDER) / 2


async def test_websocket_and_rest_return_the_same_answers(daemon: Daemon) -> None:
    """For all commands that can be sent twice."""
    async with daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, client_id="phone-17")
        known: dict[str, Any] = {"conversation": conversation, "user": bob.user, "seq": 1, "rev": 0}
        for row in ROWS:
            if row.socket and (row.http.startswith("GET") or row.tag in TWICE):
                over_rest = await daemon.rest(*request_of(row, **known), alice.account.access_token)
                names = {name: known[name] for name in known if name in row.command.__struct_fields__}
                body = {**example_body(row.command), **names}
                try:
                    over_socket = await alice.call(body.pop("t"), **body)
                except Refused as refused:
                    assert (refused.code, refused.message) == (over_rest.body["code"], over_rest.body["message"])
                    continue
                assert {**over_rest.body, "cursor": 0} == {**over_socket, "cursor": 0}, row.tag


async def test_match_works_over_rest(daemon: Daemon) -> None:
    """A request over REST causes events on the WebSocket."""
    async with daemon.person() as alice, daemon.person() as bob:

        async def ask(person: Person, method: str, path: str, body: Any = None) -> Any:
            answer = await daemon.rest(method, path, body, person.account.access_token)
            return answer.status, answer.body["t"]

        assert await ask(alice, "POST", "/v1/match", {"tags": ["tea"]}) == (200, "match.queued")
        assert await ask(alice, "DELETE", "/v1/match") == (200, "ok")
        for again in (False, True):
            assert await ask(alice, "POST", "/v1/match") == ((200, "match.queued") if not again else (409, "error"))
            assert await ask(bob, "POST", "/v1/match") == ((200, "match.queued") if not again else (409, "error"))
            if not again:
                await alice.event("match.found")
                await bob.event("match.found")
        assert await ask(alice, "POST", "/v1/match/confirm", {"match": NOBODY}) == (404, "error")
        assert await ask(alice, "POST", "/v1/match/keep") == (200, "ok")
        assert await ask(alice, "POST", "/v1/match/skip") == (200, "ok")
        assert (await bob.event("match.ended"))["reason"] == "skipped"
        assert await ask(bob, "POST", "/v1/match/leave") == (404, "error")


async def test_requests_without_a_token_are_refused(config: Config) -> None:
    """For every command, also with a token in a cookie or in the query."""
    limits = replace(config.get(AccountLimits), auth_failures_per_minute=1e6)
    async with running(config.using(limits)) as daemon:
        token = daemon.token(NOBODY)
        for row in ROWS:
            if row.guard is not Guard.NOTHING:
                method, path, body = request_of(row)
                for headers in (
                    {},
                    {"Authorization": f"Basic {token}"},
                    {"Authorization": "Bearer"},
                    {"Cookie": f"token={token}"},
                ):
                    answer = await daemon.rest(method, path, body, **headers)
                    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
                    assert answer.headers["www-authenticate"] == "Bearer"
                assert (await daemon.rest(method, f"{path.partition('?')[0]}?token={token}", body)).status == 401
                assert (await daemon.rest(method, path, body, daemon.token(NOBODY, exp=1))).status == 401


class Bad:
    """A malformed message."""

    def __init__(self, status: int, message: str, body: Any = None, query: str = "", **headers: str) -> None:
        self.status, self.message, self.body, self.query, self.headers = status, message, body, query, headers


GOOD = {"client_id": "x", "text": "hi"}
FORM = "application/x-www-form-urlencoded"
BAD = [
    Bad(400, "$: object missing required field client_id", {}),
    Bad(400, "$: object missing required field client_id"),
    Bad(400, "$: object contains unknown field sender", {**GOOD, "sender": NOBODY}),
    Bad(400, "$.text: expected str | null, got int", {**GOOD, "text": 5}),
    Bad(400, "$.text: NUL is not allowed in text", {**GOOD, "text": "a\x00b"}),
    Bad(400, "$.meta.a: int with this value is not allowed", {**GOOD, "meta": {"a": 2**63}}),
    Bad(400, "$.conversation: the field is already part of the path", {**GOOD, "conversation": NOBODY}),
    Bad(400, "$.t: the field is already part of the path", {**GOOD, "t": "message.send"}),
    Bad(400, "$.x: fields belong in the body", GOOD, query="?x=1"),
    Bad(400, "$: expected object", [GOOD]),
    Bad(400, "$: expected object", b"null"),
    Bad(400, "$: JSON is malformed", b"nonsense"),
    Bad(400, "$: ", b'{"client_id":"x","text":"\xff"}'),
    Bad(400, "$: nested too deeply", b'{"client_id":"x","meta":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    Bad(400, "$.meta.a.a", b'{"client_id":"x","meta":' + b'{"a":' * 16 + b"1" + b"}" * 17),
    Bad(413, "the request body is too large", b'{"text":"' + b"x" * 70_000 + b'"}'),
    Bad(415, "the body must be application/json", GOOD, Content_Type="text/plain"),
    Bad(415, "the body must be application/json", b"client_id=x&text=hi", Content_Type=FORM),
    Bad(415, "the body must be application/json", b"", Content_Type=FORM),
    Bad(415, "the body must be application/json", GOOD, Content_Type="multipart/form-data; boundary=x"),
]


async def test_invalid_fields_are_refused_with_their_path(daemon: Daemon) -> None:
    """Requests that a page of another site can send without preflight are refused."""
    async with daemon.pair() as (alice, _, conversation):
        path = f"/v1/conversations/{conversation}/messages"
        for bad in BAD:
            answer = await daemon.rest("POST", path + bad.query, bad.body, alice.account.access_token, **bad.headers)
            assert (answer.status, answer.body["message"][: len(bad.message)]) == (bad.status, bad.message)
            assert (answer.body["t"], answer.body["retryable"]) == ("error", False)
        utf8 = {"Content_Type": "application/json; charset=utf-8"}
        assert (await daemon.rest("POST", path, GOOD, alice.account.access_token, **utf8)).body["seq"] == 1


QUERIES = [
    ("limit=-1", "$.limit: expected int >= 1"),
    ("limit=1000000000", "$.limit: expected int <= 200"),
    ("limit=1;drop", "$.limit: expected int, got str"),
    ("limit=", "$.limit: expected int, got str"),
    ("limit=1&limit=2", "$.limit: given more than once"),
    ("limit=true", "$.limit: expected int, got str"),
    ("before=18446744073709551616", "$.before: "),
    ("sort=seq", "$: object contains unknown field sort"),
    ("t=ping", "$.t: the field is already part of the path"),
    (f"conversation={NOBODY}", "$.conversation: the field is already part of the path"),
    ("%00=1", "$: object contains unknown field "),
]


async def test_query_is_parsed_by_field_types(daemon: Daemon) -> None:
    for query, message in QUERIES:
        answer = await daemon.rest("GET", f"/v1/conversations/{NOBODY}/messages?{query}", token=daemon.token(NOBODY))
        assert (answer.status, answer.body["code"]) == (400, "bad_request")
        assert answer.body["message"].startswith(message)


async def test_numbers_and_missing_values_in_a_query_are_parsed(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        for _ in range(3):
            await alice.send(conversation)
        path = f"/v1/conversations/{conversation}/messages"
        page = await daemon.rest("GET", f"{path}?limit=2&before=3", token=alice.account.access_token)
        assert [message["seq"] for message in page.body["items"]] == [1, 2]
        page = await daemon.rest("GET", f"{path}?after=2", token=alice.account.access_token)
        assert [message["seq"] for message in page.body["items"]] == [3]


async def test_invalid_id_is_not_found(daemon: Daemon) -> None:
    for id_ in ("x", "..", "%2e%2e", NOBODY.upper().replace("0", "A"), f"{NOBODY}%00", "a%2fb", "'%20or%201=1--"):
        answer = await daemon.rest("GET", f"/v1/conversations/{id_}", token=daemon.token(NOBODY))
        assert answer.status in (400, 404), id_


async def test_message_over_rest_reaches_all_sessions_of_its_sender(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        path = f"/v1/conversations/{conversation}/messages"
        ack = (await daemon.rest("POST", path, GOOD, alice.account.access_token)).body
        for person in (alice, bob):
            assert (await person.event("message.new"))["message"]["id"] == ack["message"]


async def test_refusals_have_a_status_and_retry_after(config: Config) -> None:
    limits = replace(config.limits, user_commands_per_second=0.1, user_commands_burst=2)
    async with running(replace(config, limits=limits)) as daemon:
        token = daemon.token(NOBODY)
        answers = [await daemon.rest("GET", "/v1/conversations", token=token) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 429]
        assert answers[1].body["retryable"] is True
        # Database time is charged afterwards: at most a burst is owed, and one command is to come, which costs 2 too.
        assert 1 <= int(answers[1].headers["retry-after"]) <= (2 + 2) / 0.1


@pytest.mark.parametrize(
    ("chain", "client"), [("9.9.9.9", "9.9.9.9"), ("6.6.6.6, 9.9.9.9", "9.9.9.9"), ("x", "127.0.0.1")]
)
async def test_client_address_is_taken_from_a_trusted_proxy(config: Config, chain: str, client: str) -> None:
    """X-Forwarded-For is accepted only from a configured proxy, and read from the right."""
    limits = replace(config.get(AccountLimits), signups_per_minute=1)
    believed = replace(config.gateway, trusted_proxies=["127.0.0.1"])
    async with running(replace(config, gateway=believed).using(limits)) as daemon:
        assert (await sign_up(daemon, chain)).status == 200
        assert (await sign_up(daemon, client)).status == 429
        assert (await sign_up(daemon, "8.8.8.8")).status == 200


async def test_an_address_from_an_unknown_proxy_is_ignored(config: Config) -> None:
    limits = replace(config.get(AccountLimits), signups_per_minute=1)
    async with running(config.using(limits)) as daemon:
        assert [(await sign_up(daemon, f"7.7.7.{number}")).status for number in range(2)] == [200, 429]


async def sign_up(daemon: Daemon, *forwarded: str) -> Answer:
    lines = "".join(f"\nX-Forwarded-For: {address}" for address in forwarded)
    spoofed = "Remote-Addr: 5.5.5.5\nX-Real-IP: 5.5.5.5\nForwarded: for=5.5.5.5"
    head = f"POST /v1/auth/anonymous HTTP/1.1\nContent-Type: application/json\nContent-Length: 2\n{spoofed}{lines}"
    return await HttpPort.of(daemon).ask(head, b"{}")


async def test_repeated_x_forwarded_for_is_one_chain(config: Config) -> None:
    limits = replace(config.get(AccountLimits), signups_per_minute=1)
    believed = replace(config.gateway, trusted_proxies=["127.0.0.1"])
    async with running(replace(config, gateway=believed).using(limits)) as daemon:
        assert (await sign_up(daemon, "6.6.6.6", "9.9.9.9")).status == 200
        assert (await sign_up(daemon, "5.5.5.5", "9.9.9.9")).status == 429


async def test_disconnect_ends_only_its_own_request(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        head = (
            f"POST /v1/conversations/{conversation}/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        )
        head += f"Authorization: Bearer {alice.account.access_token}\r\nContent-Length: 32\r\n\r\n"
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(disconnect, daemon, head.encode() + b'{"client_id":"%02d","text":"hello"}' % number)
        assert await served_both(alice, bob)
        history = await alice.call("message.history", conversation=conversation)
        assert [message["seq"] for message in history["items"]] == list(range(1, len(history["items"]) + 1))


async def disconnect(daemon: Daemon, data: bytes) -> None:
    async with HttpPort.of(daemon).connected() as stream:
        await stream.send_all(data)


async def served_both(*people: Person) -> bool:
    return all([await person.is_served() for person in people])
