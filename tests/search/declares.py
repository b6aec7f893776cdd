"""What tests of all commands have to know of search, see `tests/declarations.py`."""

OTHERWISE = {"message.search": "ok"}
# The indexer follows the messages.
IN_BACKGROUND = {"search_index", "search_positions", "search_scan", "search_status"}
