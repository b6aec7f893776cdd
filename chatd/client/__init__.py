"""The Python client of chatd: `from chatd.client import connect, sign_up`.

Its answers and events are in `chatd.client.types`.
"""

from chatd.client.account import Account, ProvidedAccount, sign_up
from chatd.client.bot import Bot, Invocation, Press
from chatd.client.client import Client, Ended, connect
from chatd.client.link import Disconnected
from chatd.client.outbox import Sending
from chatd.client.wire_base import Answer, Event, Unknown
from chatd.core.errors import Refused

__all__ = [
    "Account",
    "Answer",
    "Bot",
    "Client",
    "Disconnected",
    "Ended",
    "Event",
    "Invocation",
    "Press",
    "ProvidedAccount",
    "Refused",
    "Sending",
    "Unknown",
    "connect",
    "sign_up",
]
