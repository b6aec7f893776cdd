"""The form of long-lived tokens: a prefix, 40 random characters, and a checksum of 6, for scanners of secrets."""

import re
import secrets
import string
from zlib import crc32

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH, CHECKSUM_LENGTH = 40, 6
# What follows the prefix.
REST = re.compile(rf"([0-9A-Za-z]{{{RANDOM_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})")


def checksum(text: str) -> str:
    """The CRC-32 of a text in base 62. It tells a token from a random text, and proves nothing else."""
    value, digits = crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


class TokenForm:
    """Tokens with this prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def new_secret(self) -> str:
        text = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
        return f"{self.prefix}{text}{checksum(text)}"

    def is_well_formed(self, token: str) -> bool:
        match = REST.fullmatch(token.removeprefix(self.prefix)) if token.startswith(self.prefix) else None
        return match is not None and checksum(match[1]) == match[2]
