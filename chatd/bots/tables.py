"""The tables of bots: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Limited, Table, UserData, Within

TABLES = (
    Table(
        "bots",
        (Within("users"), Limited("bots.max_bots")),
        UserData(
            what="`user_id`: the bot; `description`; `added_by`: who added it",
            kept="until the bot is removed",
            exported=("bot",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "bot_commands",
        (Within("bots"), Limited("bots.max_commands")),
        UserData(
            what="`bot`; `name`, `declared`: commands of the bot, with their descriptions",
            kept="until the bot declares others",
            exported=("bot_command",),
            erased="deleted",
            rows_of="bot",
        ),
    ),
)
