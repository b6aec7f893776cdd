"""Those who are just coming in: between the look-up of their conversations and their entry in the hub."""

from chatd.node.revocations import Revocation

Place = tuple[str, int]


class Arrival:
    """Somebody whose conversations are being looked up: `places` are their ids, and the rev each had.

    What happens meanwhile is added here, so that none is missed: conversations that they join, and closes they are meant by.
    """

    __slots__ = ("__weakref__", "anew", "closes", "hushed", "in_match", "key", "parted", "places")

    def __init__(self, tenant: str, user: str) -> None:
        self.key = (tenant, user)
        self.places: list[Place] = []
        # Of them those in which the membership has begun meanwhile.
        self.anew: set[str] = set()
        self.closes: list[tuple[str, str | None, Revocation]] = []
        self.in_match = False
        # What was heard meanwhile, which counts more than what the look-up says: whether typing is told, and what they have left.
        self.hushed: dict[str, bool] = {}
        self.parted: set[str] = set()
