"""The sessions of this node that are typing, so that their typing ends when they disconnect."""

# A client types in one conversation at a time; more than this are not remembered.
MAX_CONVERSATIONS = 16


class TypingSessions:
    """By session: conversations, how the user is known there, and when their typing expires."""

    def __init__(self) -> None:
        self._typing: dict[str, dict[str, tuple[str, float]]] = {}

    def start(self, session: str, conversation: str, shown_as: str, until: float) -> None:
        """Note that a session types; others see its user as `shown_as`.

        Commands over REST (without a session) are not noted.
        """
        if session:
            conversations = self._typing.setdefault(session, {})
            if len(conversations) < MAX_CONVERSATIONS:
                conversations[conversation] = (shown_as, until)

    def stop(self, session: str, conversation: str) -> None:
        conversations = self._typing.get(session)
        if conversations is not None:
            conversations.pop(conversation, None)

    def stop_all(self, session: str, now: float) -> dict[str, str]:
        """Forget a session that has ended.

        Returns the conversations in which others still see a user typing, and whom.
        """
        typing = self._typing.pop(session, {})
        return {conversation: shown_as for conversation, (shown_as, until) in typing.items() if until > now}
