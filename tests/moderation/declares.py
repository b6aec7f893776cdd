"""What tests of all commands have to know of moderation, see `tests/declarations.py`."""

# A report that names a user and a message is about a message of that user.
ALSO_THE_OWNER = {"report.create"}
TOGETHER = {
    ("report.create", "message"): ("conversation",),
    ("report.create", "conversation"): ("user",),
    ("report.create", "picture"): ("user", "conversation"),
}
