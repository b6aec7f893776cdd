"""What accounts store about a user."""

from chatd.app.personal_data import Part, PersonalData, Remains
from chatd.db import queries

SQL = queries.load("accounts/personal_data")
BOT_TOKENS_SQL = queries.load("accounts/bot_tokens")
PERSONAL_DATA = PersonalData(
    export=(
        Part(
            "profile",
            "external id, name, handle, pictures, status, locale, time zone, roles, free profile, times, number of "
            "devices and logins",
            SQL.profile,
        ),
        Part("login", "logins: times, name, platform, network of the address", SQL.logins, ("login",)),
    ),
    forget=(SQL.forget, BOT_TOKENS_SQL.forget),
    remains=(
        Remains("bans (also of their devices and addresses, as hashes)", "`bans`", "forever: they protect others"),
    ),
)
