"""What tests of all commands have to know of polls, see `tests/declarations.py`."""

# The message of the owner is not a poll.
ALSO_THE_OWNER = {"poll.vote", "poll.voters", "poll.close"}
