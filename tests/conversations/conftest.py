"""A daemon of its own for a test in a module that shares one."""

from collections.abc import AsyncIterator

import pytest

from chatd.core.config import Config
from tests.support import Daemon, running


@pytest.fixture
async def own_daemon(config: Config) -> AsyncIterator[Daemon]:
    """For a test that patches the daemon, reads its database, or searches in the default queue."""
    async with running(config) as started:
        yield started
