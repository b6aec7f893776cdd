"""What tests of all commands have to know of bots, see `tests/declarations.py`."""

from tests.abuse.bounds import Most, Passing

CONTAINERS = {
    "bots.streams.BotStream.waiting": Most("bots.streams.MAX_WAITING"),
    "bots.streams.BotStreams._due": Passing("session"),
}
