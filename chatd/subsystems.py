"""All subsystems, in the order in which they are opened: each uses only those before it."""

from chatd.accounts.subsystem import ACCOUNTS
from chatd.app.registry import Registry, load
from chatd.conversations.subsystem import CONVERSATIONS
from chatd.matching.subsystem import MATCHING
from chatd.moderation.subsystem import MODERATION
from chatd.operations.subsystem import OPERATIONS
from chatd.presence.subsystem import PRESENCE
from chatd.privacy.subsystem import PRIVACY
from chatd.search.subsystem import SEARCH
from chatd.uploads.subsystem import UPLOADS

SUBSYSTEMS = (ACCOUNTS, CONVERSATIONS, PRESENCE, MATCHING, SEARCH, UPLOADS, MODERATION, PRIVACY, OPERATIONS)


def load_registry() -> Registry:
    """The commands and events of all subsystems."""
    return load(module for subsystem in SUBSYSTEMS for module in subsystem.commands)
