"""Nodes that notice sooner that another one is silent, so that the tests wait less."""

import pytest
from msgspec.structs import replace

from chatd.core.config import ClusterTimes, Config

QUICK = ClusterTimes(heartbeat=0.4)


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, cluster=QUICK)
