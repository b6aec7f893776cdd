"""Which sessions of this node are typing, so that their typing ends when they disconnect."""

# A client types in one conversation at a time; more than this are forgotten.
MAX_CONVERSATIONS = 16


class Typists:
    """By session: conversations, how the user is known there, and when their typing is over by itself."""

    def __init__(self) -> None:
        self._typing: dict[str, dict[str, tuple[str, float]]] = {}

    def start(self, session: str, conversation: str, user: str, until: float) -> None:
        """A session of a `user` types there. Without a session ("", over REST) nothing is kept."""
        if session:
            places = self._typing.setdefault(session, {})
            if len(places) < MAX_CONVERSATIONS:
                places[conversation] = (user, until)

    def stop(self, session: str, conversation: str) -> None:
        places = self._typing.get(session)
        if places is not None:
            places.pop(conversation, None)

    def stop_all(self, session: str, now: float) -> dict[str, str]:
        """The session has ended. Returns where others still see it typing, and the user that they see."""
        return {conversation: user for conversation, (user, until) in self._typing.pop(session, {}).items() if until > now}
