"""Frames of the server as the tests read them: every field that was sent, known to the client or not."""

from typing import Any

from chatd.client import link


class Reply(dict[str, Any]):
    """`reply.conversation.id` is `reply["conversation"]["id"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            raise AttributeError(f"{self.get('t', 'the answer')} has no {name!r}") from None
        return wrap(value)


def wrap(value: Any) -> Any:
    if isinstance(value, dict):
        return Reply(value)
    return [wrap(item) for item in value] if isinstance(value, list) else value


class Link(link.Link):
    """A connection whose answers and events are read as `Reply`."""

    async def receive(self) -> tuple[int, Reply]:
        frame_id, body = await super().receive()
        return frame_id, Reply(body)

    async def call(self, body: dict[str, Any]) -> Reply:
        return Reply(await super().call(body))
