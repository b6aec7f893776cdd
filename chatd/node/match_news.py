"""What the users who are connected here were told of their matches: each beginning and each end once.

Word of a match travels by the bus, and is said again when it may have been lost: after a cut both can arrive.
"""

FOUND, ENDED = 1, 2
# Matches of one user that are remembered, the last ones.
MOST = 4


class MatchNews:
    """By tenant and user. Call `forget` when the last session of a user has gone."""

    def __init__(self) -> None:
        self._stages: dict[tuple[str, str], dict[str, int]] = {}

    def is_news(self, tenant: str, user: str, match: str, stage: int) -> bool:
        """Whether the user was not told as much of this match before. From now on they were."""
        stages = self._stages.setdefault((tenant, user), {})
        if stages.get(match, 0) >= stage:
            return False
        stages[match] = stage
        while len(stages) > MOST:
            del stages[next(iter(stages))]
        return True

    def forget(self, tenant: str, user: str) -> None:
        self._stages.pop((tenant, user), None)
