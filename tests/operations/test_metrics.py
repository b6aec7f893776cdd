"""GET /metrics: content and access."""

import re
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from chatd.accounts.settings import AuthSettings
from chatd.app.metrics import Durations
from chatd.core.addresses import name_of
from chatd.core.config import Admin, Config
from chatd.core.settings import ConfigError, load
from chatd.operations import metrics as door
from chatd.operations.settings import MetricsSettings
from chatd.subsystems import SUBSYSTEMS, setting_names
from tests.cluster.test_two_nodes import nodes
from tests.support import NOBODY, PATIENCE, Answer, Daemon, poll_until, running

TOKEN = "t0ken-of-prometheus-itself"
PATHS = ("/metrics", "/metrics/nodes")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def with_token(config: Config) -> Config:
    return config.using(replace(config.get(MetricsSettings), token=TOKEN))


async def scrape(daemon: Daemon, path: str = "/metrics") -> Samples:
    """Every sample by its name and labels."""
    answer = await daemon.rest("GET", path, Host="localhost")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = text_string_to_metric_families(answer.body.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def one(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


async def test_events_are_counted(daemon: Daemon) -> None:
    before = await scrape(daemon)
    assert before[one("chatd_refusals_total", code="not_found")] == 0
    assert before[one("chatd_state", state="ready")] == 1
    async with daemon.pair() as (alice, bob, conversation):
        for _ in range(3):
            await alice.send(conversation)
            await bob.event("message.new")
        await bob.refused("message.send", conversation=NOBODY, client_id=NOBODY, text="x")
        await daemon.rest("GET", "/v1/conversations")
        now = await scrape(daemon)
    assert now[one("chatd_sessions", transport="websocket")] == now[one("chatd_handshakes_accepted_total")] == 2
    assert now[one("chatd_messages_total")] == 3
    assert now[one("chatd_deliveries_total")] >= 3
    assert now[one("chatd_refusals_total", code="not_found")] == 1
    assert now[one("chatd_refusals_total", code="unauthenticated")] == 1
    assert now[one("chatd_command_seconds_count", command="message.send")] == 4
    assert now[one("chatd_command_seconds_bucket", command="message.send", le="+Inf")] == 4
    assert now[one("chatd_message_log_commit_seconds_count")] == now[one("chatd_message_log_batches_total")] >= 1
    assert 0 < now[one("chatd_message_log_commit_seconds_sum")] < 60
    closed = one("chatd_session_closes_total", reason="by_peer")
    await poll_until(lambda: scrape(daemon), lambda now: now[closed] == 2)


async def test_other_requests_are_counted(config: Config) -> None:
    async with running(replace(config, admins={"ann": Admin(token="x" * 32)})) as daemon:
        requests = [
            ("GET", f"/v1/uploads/{NOBODY}"),
            ("POST", "/v1/uploads"),
            ("GET", "/v1/me/export"),
            ("POST", "/admin/user"),
        ]
        assert {(await daemon.rest(method, path)).status for method, path in requests} == {401}
        assert (await scrape(daemon))[one("chatd_refusals_total", code="unauthenticated")] == len(requests)


async def test_handshakes_that_were_refused_are_counted(daemon: Daemon) -> None:
    host, _, port = daemon.addresses.socket.removeprefix("ws://").partition("/")[0].partition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        await stream.send_all(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        await stream.send_all(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        assert (await Answer.receive(stream)).status == 404
    assert (await scrape(daemon))[one("chatd_handshakes_refused_total", code="not_found")] == 1


async def test_the_metrics_of_all_nodes_are_returned(config: Config) -> None:
    async with nodes(config) as (one_, two), two.person():
        names, sessions = set[str](), list[float]()
        with trio.fail_after(PATIENCE):
            while len(names) < 2 or sum(sessions) != 1:
                found = await scrape(one_, "/metrics/nodes")
                names = {dict(labels)["node"] for (name, labels) in found if name == "chatd_sessions"}
                sessions = [value for (name, _), value in found.items() if name == "chatd_sessions"]
        assert names == {dict(labels)["name"] for (name, labels) in found if name == "chatd_node_info"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "chatd.test"},
        {"Host": "127.0.0.1.evil.test"},
        {"Host": "localhost", "X-Forwarded-For": "127.0.0.1"},
        {"Host": "localhost", "X-Forwarded-For": ""},
        {"Host": "localhost", "X-Real-IP": "::1"},
        {"Host": "localhost", "Forwarded": "for=127.0.0.1"},
        {"Host": "localhost", "Via": "1.1 proxy"},
        {"Host": "localhost", "Origin": "http://localhost:8081"},
        {"Host": "localhost", "Authorization": "Bearer ", "Via": "x"},
        {"Host": "localhost", "X-Forwarded-Host": "chat.example.org"},
        {"Host": "localhost", "X-Forwarded-Proto": "https"},
        {"Host": "127.0.0.1", "X-FORWARDED-SERVER": "web"},
        {"Host": "127.0.0.1", "CF-Connecting-IP": "203.0.113.7"},
        {"Host": "127.0.0.1", "True-Client-IP": "203.0.113.7"},
        {"Host": "127.0.0.1", "X-Cluster-Client-IP": "203.0.113.7"},
        {"Host": "127.0.0.1", "Sec-Fetch-Site": "cross-site"},
        {"Host": "127.0.0.1", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Host": "127.0.0.1", "Referer": "http://evil.test/"},
    ],
    ids=str,
)
async def test_metrics_without_a_token_are_for_localhost_only(
    shared_daemon: Daemon, path: str, headers: dict[str, str]
) -> None:
    answer = await shared_daemon.rest("GET", path, **headers)
    nothing = await shared_daemon.rest("GET", "/nothing-is-here")
    assert (answer.status, answer.body) == (404, nothing.body)
    for host in ("localhost", "localhost:8081", "127.0.0.1", "127.9.9.9:1", "[::1]:8081"):
        assert (await shared_daemon.rest("GET", path, Host=host)).status == 200


async def test_another_machine_needs_the_token(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the address of the peer cannot be another one in this test."""
    peers: list[str] = ["203.0.113.7", "10.0.0.1", "2001:db8::1", "", "localhost", "::ffff:203.0.113.7"]

    real: Any = vars(door)["request"]

    class Request:
        def __init__(self, peer: str) -> None:
            self.remote_addr = peer

        @property
        def headers(self) -> Any:
            return real.headers

    async with running(config) as closed, running(with_token(config)) as guarded:
        for peer in peers:
            monkeypatch.setattr(door, "request", Request(peer))
            assert (await closed.rest("GET", "/metrics", Host="localhost")).status == 404
            assert (await closed.rest("GET", "/metrics", token=TOKEN, Host="localhost")).status == 404
            assert (await guarded.rest("GET", "/metrics", Host="localhost")).status == 401
            assert (await guarded.rest("GET", "/metrics", token=TOKEN)).status == 200
        for peer in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"):
            monkeypatch.setattr(door, "request", Request(peer))
            assert (await closed.rest("GET", "/metrics", Host="localhost")).status == 200


async def test_metrics_token_grants_access_from_any_address(config: Config) -> None:
    proxied = {"X-Forwarded-For": "203.0.113.7"}
    async with running(with_token(config)) as daemon:
        for path in PATHS:
            assert (await daemon.rest("GET", path, token=TOKEN, **proxied)).status == 200
            for token in (
                None,
                "x",
                TOKEN[:-1],
                TOKEN + "x",
                TOKEN.upper(),
                "\xe9" * 20,
                config.get(AuthSettings).secret,
            ):
                answer = await daemon.rest("GET", path, token=token, **proxied)
                assert (answer.status, answer.body["code"], answer.headers["www-authenticate"]) == (
                    401, "unauthenticated", "Bearer",
                )  # fmt: skip
            basic = await daemon.rest("GET", path, Authorization=f"Basic {TOKEN}", **proxied)
            assert basic.status == 401
            assert (await daemon.rest("GET", f"{path}?token={TOKEN}", **proxied)).status == 401
            assert (await daemon.rest("GET", path, Host="localhost")).status == 200
            assert (await daemon.rest("POST", path, Host="localhost")).status == 405


async def test_request_through_a_local_proxy_needs_the_token(config: Config) -> None:
    trusting = replace(config, gateway=replace(config.gateway, trusted_proxies=["127.0.0.1"]))
    async with running(trusting) as daemon:
        assert (await daemon.rest("GET", "/metrics", Host="localhost")).status == 404


async def test_metrics_contain_no_user_data(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        await alice.call("match.find", queue="a-queue-of-alice")
        await alice.send(conversation, "a-text-of-alice")
        for path in PATHS:
            text = (await daemon.rest("GET", path, Host="localhost")).body.decode()
            for secret in (alice.user, conversation, "a-queue-of-alice", "a-text-of-alice", alice.account.access_token):
                assert secret not in text


@pytest.mark.parametrize("token", ["short", "with a space in it and long"])
def test_weak_metrics_token_is_refused_and_masked(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"CHATD_METRICS__TOKEN": token}, setting_names())
    assert "metrics.token" in str(caught.value)
    assert token not in str(caught.value)


def test_metrics_token_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert (
        load(None, {"CHATD_METRICS__TOKEN_FILE": str(file)}, setting_names()).config.get(MetricsSettings).token == TOKEN
    )


@pytest.mark.parametrize(
    ("host", "name"), [("", ""), ("x", "x"), ("x:1", "x"), ("[::1]:80", "::1"), ("[::1", ""), ("a:b:c", "")]
)
def test_the_name_in_a_host_header_is_parsed(host: str, name: str) -> None:
    assert name_of(host) == name


def test_every_metric_is_well_named_and_explained() -> None:
    metrics = [metric for subsystem in SUBSYSTEMS for metric in subsystem.metrics]
    names = [metric.name for metric in metrics]
    assert len(set(names)) == len(names)
    for metric in metrics:
        assert re.fullmatch("chatd(_[a-z]+)+", metric.name)
        assert re.fullmatch(r"[A-Z1].*\.", metric.meaning), metric.name
    assert all(metric.name.endswith("_seconds") for metric in metrics if isinstance(metric, Durations))
