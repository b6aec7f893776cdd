"""A subsystem outside of chatd, for `tests/app/test_subsystem.py`: notes that users leave for each other."""
