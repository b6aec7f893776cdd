"""What bots store about a user: only bots themselves have rows."""

from chatd.app.personal_data import Part, PersonalData
from chatd.db import queries

BOTS_SQL = queries.load("bots/bots")
COMMANDS_SQL = queries.load("bots/commands")
PERSONAL_DATA = PersonalData(
    export=(
        Part("bot", "of a bot: its description, who added it, and what it receives", BOTS_SQL.export),
        Part("bot_command", "of a bot: the commands that it has declared", COMMANDS_SQL.export, ("command",), ("",)),
    ),
    forget=(BOTS_SQL.forget,),
)
