"""What tests of all commands have to know of it, as `tests/<subsystem>/declares.py` has it."""

ANYBODYS = {("note.add", "user")}
