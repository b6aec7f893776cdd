"""WebSocket data frames (RFC 6455): encode them, and read their headers and payloads. Pure functions over bytes.

Almost all frames of clients are plain: final, of the negotiated opcode, no reserved bit, masked, with the shortest
encoding of the length. All others are left to the full protocol implementation.
"""

from typing import Final, NamedTuple

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
FINAL: Final = 0x80
MASKED: Final = 0x80
MAX_LENGTH: Final = 2**63 - 1


class Header(NamedTuple):
    """The header of a frame (RFC 6455, section 5.2). `start`: offset of the payload; sizes are in bytes."""

    first: int
    masked: bool
    length: int
    start: int
    minimal: bool

    @property
    def opcode(self) -> int:
        return self.first & 0x0F

    @property
    def final(self) -> bool:
        return bool(self.first & FINAL)

    @property
    def is_control(self) -> bool:
        return bool(self.first & 0x08)

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def valid(self) -> bool:
        """Whether a frame of a client may have this header, regardless of the frames before it."""
        if not self.masked or self.first & 0x70 or not self.minimal or self.length > MAX_LENGTH:
            return False
        if self.is_control:
            return self.final and self.length <= 125 and self.opcode in (CLOSE, PING, PONG)
        return self.opcode in (CONTINUATION, TEXT, BINARY)


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Encode a frame of the server: final, not masked."""
    length = len(payload)
    if length < 126:
        return bytes((FINAL | opcode, length)) + payload
    return frame_head(opcode, length) + payload


def encode_close(code: int, reason: str) -> bytes:
    """Encode a close frame."""
    return encode_frame(CLOSE, code.to_bytes(2, "big") + shortened(reason).encode())


def shortened(reason: str) -> str:
    """The reason of a close, which has at most 123 bytes (RFC 6455, section 5.5)."""
    return reason.encode()[:120].decode(errors="ignore")


def frame_head(opcode: int, length: int) -> bytes:
    """The header of a frame of the server, for a payload of this length."""
    if length < 126:
        return bytes((FINAL | opcode, length))
    if length < 65536:
        return bytes((FINAL | opcode, 126)) + length.to_bytes(2, "big")
    return bytes((FINAL | opcode, 127)) + length.to_bytes(8, "big")


def read_header(data: bytes | bytearray, at: int = 0) -> Header | None:
    """The header at the offset `at`, or None if its length is not complete. The mask may still be missing."""
    have = len(data) - at
    if have < 2:
        return None
    first, second = data[at], data[at + 1]
    masked, length = bool(second & MASKED), second & 0x7F
    extra = {126: 2, 127: 8}.get(length, 0)
    if have < 2 + extra:
        return None
    minimal = True
    if extra:
        length = int.from_bytes(data[at + 2 : at + 2 + extra], "big")
        minimal = length > 125 if extra == 2 else length > 65535
    return Header(first, masked, length, at + 2 + extra + (4 if masked else 0), minimal)


def unmask(data: bytes | bytearray, header: Header) -> bytes:
    """Unmask the payload of a complete frame, in one XOR of two large integers (RFC 6455, section 5.3)."""
    length, start = header.length, header.start
    if not length:
        return b""
    mask = bytes(data[start - 4 : start])
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return (int.from_bytes(data[start : start + length], "big") ^ key).to_bytes(length, "big")
