"""A client of the load generator, without a connection."""

from typing import Any

import msgspec
import pytest

from chatd.bench.client import Client, Decoded
from chatd.bench.client_log import Received
from chatd.bench.connection import Loop
from chatd.bench.run import Preparation
from chatd.bench.target import Target


@pytest.fixture
def client() -> Client:
    client = Client(Loop(), Target.parse("ws://127.0.0.1:1/", str), "alice", Preparation(), Decoded(), "")
    client.join("talk", 5, 0.0)
    return client


def arrive(client: Client, body: dict[str, Any]) -> None:
    client.on_payload(msgspec.msgpack.encode([0, body]), 1.0)


def news(rev: int) -> dict[str, Any]:
    message = {"seq": rev - 4, "rev": rev, "sender": "bob", "client_id": str(rev)}
    return {"t": "message.new", "conversation": "talk", "rev": rev, "message": message}


def test_messages_from_before_the_beginning_are_not_logged(client: Client) -> None:
    """Otherwise a client that got one late would make it appear lost for those that got it earlier."""
    arrive(client, news(5))
    arrive(client, news(6))
    assert [entry.rev for entry in client.log.entries if isinstance(entry, Received)] == [6]


def test_frames_of_other_kinds_are_ignored(client: Client) -> None:
    entries = list(client.log.entries)
    arrive(client, {"t": "user.update", "user": {"id": "bob"}, "message": 3})
    arrive(client, {"t": "something.new", "conversation": {"id": 7}})
    assert client.log.entries == entries
