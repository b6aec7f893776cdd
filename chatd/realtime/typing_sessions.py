"""The sessions of this node that are typing, so that their typing ends when they disconnect."""

# A client types in one conversation at a time; more than this are not remembered.
MAX_CONVERSATIONS = 16


class TypingSessions:
    """By session: conversations, and when their typing expires."""

    def __init__(self) -> None:
        self._typing: dict[str, dict[str, float]] = {}

    def start(self, session: str, conversation: str, until: float) -> None:
        """Note that a session types. Commands over REST have no session (""): they are not noted."""
        if session:
            conversations = self._typing.setdefault(session, {})
            if len(conversations) < MAX_CONVERSATIONS:
                conversations[conversation] = until

    def stop(self, session: str, conversation: str) -> None:
        conversations = self._typing.get(session)
        if conversations is not None:
            conversations.pop(conversation, None)

    def stop_all(self, session: str, now: float) -> list[str]:
        """Forget a session that has ended. Returns the conversations in which others still see it typing."""
        return [conversation for conversation, until in self._typing.pop(session, {}).items() if until > now]
