"""What tests of all commands have to know of presence, see `tests/declarations.py`."""

# A user whose presence is hidden is offline, whether they exist or not.
WITHOUT_OWNER = {"presence.watch", "presence.query"}
