"""The state of a poll, and how votes and its end change it. Pure.

It is stored in the message, with the counts, and shown as it is stored. Who has voted for what is a table of its own,
which only `poll.voters` reads, and not for an anonymous poll.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType, convert, to_builtins
from msgspec.structs import replace

from chatd.core.errors import Refused
from chatd.wire.base import Millis
from chatd.wire.reference.examples import Example

MIN_OPTIONS, MAX_OPTIONS = 2, 20


class PollOption(Struct, kw_only=True, frozen=True):
    """An option of a poll, and the number of its votes."""

    text: str
    votes: int
    EXAMPLE: ClassVar = Example(text="pizza", votes=2)


class Poll(Struct, kw_only=True, frozen=True):
    """The options of a poll. Votes name an option by its index, which begins at 0.

    `voters`: the number of users who have voted, which in a poll of multiple choice is less than that of the votes.
    `closes_at`: when the poll ends. `closed_at`: when it has ended; then nobody can vote. `anonymous`: nobody can see
    who has voted for what.
    """

    options: list[PollOption]
    multiple: bool
    anonymous: bool
    voters: int
    closes_at: Millis | UnsetType = UNSET
    closed_at: Millis | UnsetType = UNSET

    @property
    def is_closed(self) -> bool:
        return self.closed_at is not UNSET

    def check_open(self, now: int) -> None:
        """Raises Refused: `conflict`."""
        if self.is_closed or (self.closes_at is not UNSET and self.closes_at <= now):
            raise Refused("conflict", "the poll has ended")

    def chosen(self, options: Iterable[int]) -> list[int]:
        """The options of a vote, in order, each once. Raises Refused: `bad_request`."""
        chosen = sorted(set(options))
        if chosen and chosen[-1] >= len(self.options):
            raise Refused("bad_request", f"$.options: the poll has {len(self.options)} options, the first one is 0")
        if len(chosen) > 1 and not self.multiple:
            raise Refused("bad_request", "$.options: expected one option: this is not a poll of multiple choice")
        return chosen

    def recounted(self, before: Sequence[int], after: Sequence[int]) -> "Poll":
        """The poll after a user has replaced the options of their vote."""
        options = [
            replace(option, votes=option.votes + (index in after) - (index in before))
            for index, option in enumerate(self.options)
        ]
        return replace(self, options=options, voters=self.voters + bool(after) - bool(before))

    def closed(self, now: int) -> "Poll":
        return replace(self, closed_at=now)


def poll_in(stored: Any) -> Poll:
    """The poll of a message. Raises Refused: `conflict` if there is none."""
    if stored is None:
        raise Refused("conflict", "the message is not a poll")
    return convert(stored, Poll)


def stored_form(poll: Poll) -> dict[str, Any]:
    form: dict[str, Any] = to_builtins(poll)
    return form
