"""What tests of all commands have to know of the demo page, see `tests/declarations.py`."""

from tests.abuse.bounds import Fixed

CONTAINERS = {"demo.page.DemoPage._files": Fixed(), "demo.page.DemoPage._headers": Fixed()}
