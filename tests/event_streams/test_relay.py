"""What one node tells another one about a request for a session."""

from dataclasses import fields

from msgspec import msgpack

from chatd.cluster import control_messages
from chatd.core.identity import Principal, ProfileClaims
from chatd.event_streams.relay import AskFrames, RemoteCommand

CLAIMS = ProfileClaims("Bob", "https://a.test/b.png", "de", ("staff",), 7, b"\x00\xff")
BOB = Principal("t", "bob", "token", "login", "scope", 9, "b@idp", CLAIMS, is_bot=True)


def test_a_question_carries_all_that_is_known_of_the_asker() -> None:
    """A field that is new has to be set above, and is carried then."""
    for field in fields(Principal):
        assert getattr(BOB, field.name) not in (field.default, "", 0), field.name
    question = AskFrames("asker", 1, "session", BOB, "node", 3, 0.5)
    carried = control_messages.decoder().decode(msgpack.encode(question))
    assert isinstance(carried, AskFrames)
    assert carried.who == BOB
    assert carried == question
    command = RemoteCommand(BOB, "192.0.2.1", b"{}")
    assert msgpack.decode(msgpack.encode(command), type=RemoteCommand) == command
