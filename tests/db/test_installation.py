"""All nodes of a database use one secret."""

import pytest
from msgspec.structs import replace

from chatd.accounts import bans
from chatd.app.installation import adopt_secret, check_secret
from chatd.core.config import Config
from chatd.core.secrets import BadSecret, derived_key, fingerprint
from chatd.db.postgres import Postgres
from tests.support import restarted, running

ONE, OTHER = "1" * 32, "2" * 32


def test_purposes_have_different_keys() -> None:
    keys = {derived_key(secret, purpose) for secret in (ONE, OTHER) for purpose in ("addresses", "fingerprint")}
    assert len(keys) == 4
    assert ONE not in fingerprint(ONE)


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
async def test_weak_secret_is_refused(config: Config, secret: str) -> None:
    weak = replace(config, data=replace(config.data, secret=secret))
    with pytest.raises(BadSecret, match=r"data\.secret"):
        bans.range_hash(weak, "203.0.113.7")
    with pytest.raises(BadSecret):
        fingerprint(secret)


async def test_a_node_with_another_secret_is_refused_until_it_is_adopted(db: Postgres) -> None:
    await check_secret(db, ONE)
    await check_secret(db, ONE)
    with pytest.raises(BadSecret, match="chatd secret adopt"):
        await check_secret(db, OTHER)
    assert await adopt_secret(db, OTHER) == fingerprint(ONE)
    await check_secret(db, OTHER)


async def test_a_daemon_does_not_serve_with_another_secret(config: Config) -> None:
    async with running(config):
        pass
    other = replace(config, data=replace(config.data, secret=OTHER))
    with pytest.RaisesGroup(pytest.RaisesExc(BadSecret), allow_unwrapped=True, flatten_subgroups=True):
        async with running(other):
            raise AssertionError


async def test_without_a_configured_secret_a_daemon_makes_one_and_keeps_it(config: Config) -> None:
    bare = replace(config, data=replace(config.data, secret=""))
    for once in (bare, restarted(bare)):
        async with running(once) as daemon, daemon.person() as person:
            assert await person.is_served()
