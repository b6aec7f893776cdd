"""What the peer of a connection may send, and the functions that handle it."""

from collections.abc import Callable, Container

from chatd.core.rate_limit import TokenBucket
from chatd.gateway.commands_in_flight import Call
from chatd.gateway.send_queue import ignore, no_frame


class FrameRules:
    """What the peer may send, and the functions that handle it. Sizes are in bytes.

    `decode(opcode, payload)` returns what is to be done for a message, or None if nothing is left to do.
    `exceeded(close)` handles a violation. `behind(topic, rev)` makes the frame that replaces dropped events, and
    `dropped(count)` counts them; see `SendQueue`.
    """

    __slots__ = ("behind", "control", "decode", "dropped", "exceeded", "max_frames", "max_message", "opcodes")

    def __init__(
        self,
        decode: Callable[[int, bytes], Call | None],
        exceeded: Callable[[str], None],
        opcodes: Container[int],
        max_message: int,
        max_frames: int,
        control: TokenBucket,
        *,
        behind: Callable[[str, int], bytes] = no_frame,
        dropped: Callable[[int], None] = ignore,
    ) -> None:
        self.decode = decode
        self.exceeded = exceeded
        self.opcodes = opcodes
        self.max_message = max_message
        self.max_frames = max_frames
        self.control = control
        self.behind = behind
        self.dropped = dropped
