"""What the lane is told by whoever serves the connection: what may be sent, who gets it, and what to say of dropped events."""

from collections.abc import Awaitable, Callable, Container

from chatd.core.rate_limit import TokenBucket
from chatd.gateway.send_queue import ignore, no_frame

Receive = Callable[[int, bytes], Awaitable[None]]


class Rules:
    """What one connection may send, and who gets it: `receive(opcode, payload)`. Sizes in bytes.

    `behind(conversation, rev)` makes the frame that stands for dropped events, and `dropped(count)` counts them; see `Outbox`.
    """

    __slots__ = ("behind", "control", "dropped", "exceeded", "max_frames", "max_message", "opcodes", "receive")

    def __init__(
        self,
        receive: Receive,
        exceeded: Callable[[str], None],
        opcodes: Container[int],
        max_message: int,
        max_frames: int,
        control: TokenBucket,
        *,
        behind: Callable[[str, int], bytes] = no_frame,
        dropped: Callable[[int], None] = ignore,
    ) -> None:
        self.receive = receive
        self.exceeded = exceeded
        self.opcodes = opcodes
        self.max_message = max_message
        self.max_frames = max_frames
        self.control = control
        self.behind = behind
        self.dropped = dropped
