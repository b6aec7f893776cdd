"""What tests of all commands have to know of search, see `tests/declarations.py`."""

OTHERWISE = {"message.search": "ok"}
