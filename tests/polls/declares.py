"""What tests of all commands have to know of polls, see `tests/declarations.py`."""

from tests.abuse.bounds import OneEach

# The message of the owner is not a poll.
ALSO_THE_OWNER = {"poll.vote", "poll.voters", "poll.close"}
CONTAINERS = {"polls.metrics.PollCounts.closed": OneEach("way in which a poll ends")}
