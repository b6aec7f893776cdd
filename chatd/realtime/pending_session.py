"""Somebody between the look-up of who they are and the session."""

from time import monotonic

from chatd.realtime.revocations import Revocation

Place = tuple[str, int]


class Arrival:
    """Somebody whose conversations are being looked up: `places` are their ids, and the rev each had.

    What happens meanwhile is added here, so that none is missed: conversations that they join, and closes they are meant by.
    """

    __slots__ = (
        "__weakref__", "anew", "began", "closes", "entered", "heard", "hushed", "key", "match", "parted", "places",
    )  # fmt: skip

    def __init__(self, tenant: str, user: str) -> None:
        self.key = (tenant, user)
        # In seconds of the monotonic clock.
        self.began = monotonic()
        self.places: list[Place] = []
        # How many of them the session has entered.
        self.entered = 0
        # Of them those in which the membership has begun meanwhile.
        self.anew: set[str] = set()
        self.closes: list[tuple[str, str | None, Revocation]] = []
        # The match that they are in, and whether they were told of it.
        self.match: str | None = None
        self.heard = True
        # What was heard meanwhile, which counts more than what the look-up says: whether typing is told, and what they have left.
        self.hushed: dict[str, bool] = {}
        self.parted: set[str] = set()
