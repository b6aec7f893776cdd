"""All subsystems, in the order in which they are opened: each uses only those before it."""

from collections.abc import Iterable
from functools import cache

from chatd.accounts.subsystem import ACCOUNTS
from chatd.actions.subsystem import ACTIONS
from chatd.admin_pages.subsystem import ADMIN_PAGES
from chatd.analytics.subsystem import ANALYTICS
from chatd.app.personal_data import AllPersonalData
from chatd.app.registry import Registry, load
from chatd.app.subsystem import Subsystem
from chatd.bots.subsystem import BOTS
from chatd.consent.subsystem import CONSENT
from chatd.conversations.subsystem import CONVERSATIONS
from chatd.core.setting_names import SettingNames
from chatd.db import queries
from chatd.db.migrations import Schema
from chatd.demo.subsystem import DEMO
from chatd.event_streams.subsystem import EVENT_STREAMS
from chatd.filters.subsystem import FILTERS
from chatd.http import openapi
from chatd.importing.subsystem import IMPORTING
from chatd.inspection.subsystem import INSPECTION
from chatd.link_previews.subsystem import LINK_PREVIEWS
from chatd.matching.subsystem import MATCHING
from chatd.moderation.subsystem import MODERATION
from chatd.operations.subsystem import OPERATIONS
from chatd.outbox.subsystem import OUTBOX
from chatd.people.subsystem import PEOPLE
from chatd.polls.subsystem import POLLS
from chatd.presence.subsystem import PRESENCE
from chatd.privacy.subsystem import PRIVACY
from chatd.search.subsystem import SEARCH
from chatd.server_api.subsystem import SERVER_API
from chatd.threads.subsystem import THREADS
from chatd.uploads.subsystem import UPLOADS
from chatd.webhooks.subsystem import WEBHOOKS

SUBSYSTEMS = (
    ACCOUNTS,
    OUTBOX,
    UPLOADS,
    DEMO,
    FILTERS,
    CONVERSATIONS,
    THREADS,
    PEOPLE,
    CONSENT,
    POLLS,
    ACTIONS,
    LINK_PREVIEWS,
    MODERATION,
    PRESENCE,
    SEARCH,
    MATCHING,
    WEBHOOKS,
    EVENT_STREAMS,
    OPERATIONS,
    PRIVACY,
    BOTS,
    SERVER_API,
    IMPORTING,
    ANALYTICS,
    INSPECTION,
    ADMIN_PAGES,
)

# Folders of the kernel that have tables.
KERNEL = ("db", "app")


def schemas_of(subsystems: Iterable[Subsystem] = SUBSYSTEMS) -> tuple[Schema, ...]:
    """The schemas of the kernel and of the subsystems, in the order in which they are created."""
    folders = dict.fromkeys(KERNEL) | {subsystem.name: subsystem.schema for subsystem in subsystems}
    found = ((name, folder or queries.folder() / name / "schema") for name, folder in folders.items())
    return tuple(Schema(name, folder) for name, folder in found if folder.is_dir())


@cache
def load_registry(subsystems: tuple[Subsystem, ...] = SUBSYSTEMS) -> Registry:
    """What all subsystems declare: collected once for the process."""
    return load(subsystems, openapi.ROUTES)


@cache
def setting_names(subsystems: tuple[Subsystem, ...] = SUBSYSTEMS) -> SettingNames:
    """The settings that the kernel and all subsystems declare."""
    return SettingNames(declared for subsystem in subsystems for declared in subsystem.settings)


def all_personal_data(subsystems: Iterable[Subsystem] = SUBSYSTEMS) -> AllPersonalData:
    """What all subsystems store about a user."""
    return AllPersonalData(subsystem.personal_data for subsystem in subsystems)
