"""What is installed: pinned, with hashes, from nowhere in particular, and not older than the last known hole."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
# The oldest release without a hole that matters here, and the hole.
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


@pytest.mark.parametrize("name", LOCKS)
def test_everything_is_pinned_with_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == text.count("==") - text.count(" == ") > 30
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "index" not in text.replace("importlib", "")


@pytest.mark.parametrize("name", LOCKS)
def test_floors(name: str) -> None:
    found = pins(name)
    assert {package for package, floor in FLOORS.items() if Version(found[package]) < Version(floor)} == set()


def test_the_lock_satisfies_what_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found = pins("requirements.lock")
    for text in declared:
        requirement = Requirement(text)
        assert requirement.specifier.contains(found[requirement.name.lower()]), text


def test_both_locks_agree() -> None:
    run, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: dev.get(name) for name in run} == run
