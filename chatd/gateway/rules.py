"""What a connection may send, as the lane is told by whoever serves the connection."""

from collections.abc import Awaitable, Callable, Container

from chatd.domain.rate_limit import TokenBucket

Receive = Callable[[int, bytes], Awaitable[None]]


class Rules:
    """What one connection may send, and who gets it: `receive(opcode, payload)`. Sizes in bytes."""

    __slots__ = ("control", "exceeded", "max_frames", "max_message", "opcodes", "receive")

    def __init__(
        self,
        receive: Receive,
        exceeded: Callable[[str], None],
        opcodes: Container[int],
        max_message: int,
        max_frames: int,
        control: TokenBucket,
    ) -> None:
        self.receive = receive
        self.exceeded = exceeded
        self.opcodes = opcodes
        self.max_message = max_message
        self.max_frames = max_frames
        self.control = control
