"""The Python client of chatd: `from chatd.client import connect, sign_up`."""

from chatd.client.account import Account, sign_up
from chatd.client.client import Client, Ended, connect
from chatd.client.link import Disconnected
from chatd.client.outbox import Sending
from chatd.client.reply import Reply
from chatd.errors import Refused

__all__ = ["Account", "Client", "Disconnected", "Ended", "Refused", "Reply", "Sending", "connect", "sign_up"]
