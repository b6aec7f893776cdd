"""Nodes that notice sooner that another one is silent, so that the tests wait less."""

import pytest
from msgspec.structs import replace

from chatd.core.config import ClusterTimes, Config

QUICK = ClusterTimes(heartbeat=0.4)
# These count every event: on a busy machine a node with short times sends `behind` in place of some.
PATIENT = ("test_retries", "test_two_nodes", "test_typing")


@pytest.fixture
def config(config: Config, request: pytest.FixtureRequest) -> Config:
    is_patient = request.module.__name__.rpartition(".")[2] in PATIENT
    return config if is_patient else replace(config, cluster=QUICK)
