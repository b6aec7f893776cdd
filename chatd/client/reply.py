"""What came from the server, with fields as attributes. Fields that this version does not know are kept."""

from typing import Any


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
