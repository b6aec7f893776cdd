"""All subsystems, in the order in which they are opened: each uses only those before it."""

from functools import cache

from chatd.accounts.subsystem import ACCOUNTS
from chatd.app.registry import Registry, load
from chatd.app.subsystem import Subsystem
from chatd.conversations.subsystem import CONVERSATIONS
from chatd.core.setting_names import SettingNames
from chatd.http import openapi
from chatd.matching.subsystem import MATCHING
from chatd.moderation.subsystem import MODERATION
from chatd.operations.subsystem import OPERATIONS
from chatd.presence.subsystem import PRESENCE
from chatd.privacy.subsystem import PRIVACY
from chatd.search.subsystem import SEARCH
from chatd.uploads.subsystem import UPLOADS

SUBSYSTEMS = (ACCOUNTS, UPLOADS, CONVERSATIONS, MODERATION, PRESENCE, SEARCH, MATCHING, OPERATIONS, PRIVACY)


@cache
def load_registry(subsystems: tuple[Subsystem, ...] = SUBSYSTEMS) -> Registry:
    """What all subsystems declare: collected once for the process."""
    return load(subsystems, openapi.ROUTES)


@cache
def setting_names(subsystems: tuple[Subsystem, ...] = SUBSYSTEMS) -> SettingNames:
    """The settings that the kernel and all subsystems declare."""
    return SettingNames(declared for subsystem in subsystems for declared in subsystem.settings)
