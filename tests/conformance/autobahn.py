"""Run the WebSocket conformance suite of Autobahn against the production listener.

python -m tests.conformance.autobahn --python2 python2.7 [--cases "1.*,7.*"]    # or: make conformance

The suite runs on Python 2.7 only, which most distributions no longer have, so this is no part of `make check`. Cases 12
and 13 are about compression, which chatd does not offer.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "autobahntestsuite==25.10.1"
# `pip --target` installs namespace packages that only a site directory can resolve.
RUN = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"
ACCEPTED = {"OK", "INFORMATIONAL"}
AGENT = "chatd"


def install(python2: str, folder: Path) -> None:
    """Install the suite, unless it is installed."""
    if not (folder / "autobahntestsuite").exists():
        pip = [python2, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--target", str(folder), PACKAGE], check=True)


@contextmanager
def echo_server() -> Iterator[str]:
    """The URL of `tests.conformance.echo`, which the reactor serves as it serves the gateway."""
    command = [sys.executable, "-m", "tests.conformance.echo", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def run(python2: str, suite: Path, url: str, cases: list[str]) -> dict[str, dict[str, str]]:
    """The result of each case by its number."""
    with tempfile.TemporaryDirectory(prefix="chatd-autobahn-") as folder:
        spec = {
            "outdir": folder,
            "servers": [{"agent": AGENT, "url": url}],
            "cases": cases,
            "exclude-cases": ["12.*", "13.*"],
            "exclude-agent-cases": {},
        }
        path = Path(folder, "spec.json")
        path.write_text(json.dumps(spec))
        command = [python2, "-c", RUN, str(suite), "-m", "fuzzingclient", "-s", str(path)]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        results: dict[str, dict[str, str]] = json.loads(Path(folder, "index.json").read_text())[AGENT]
        return results


def failures(results: dict[str, dict[str, str]]) -> list[str]:
    """The cases that failed, or that passed without being strict."""
    return [
        f"{case}: {result['behavior']}, close {result['behaviorClose']}"
        for case, result in results.items()
        if not {result["behavior"], result["behaviorClose"]} <= ACCEPTED
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python2", default="python2.7")
    parser.add_argument("--suite", type=Path, default=ROOT / ".venv" / "autobahn", help="where it is installed")
    parser.add_argument("--cases", default="*", help="separated by commas")
    options = parser.parse_args()
    python2 = shutil.which(options.python2)
    if python2 is None:
        sys.exit(f"{options.python2} is not installed: name a Python 2.7 with pip by --python2")
    install(python2, options.suite)
    with echo_server() as url:
        results = run(python2, options.suite, url, options.cases.split(","))
    failed = failures(results)
    print(*failed, sep="\n", end="\n" if failed else "")
    print(f"{len(results)} cases: {dict(Counter(result['behavior'] for result in results.values()))}")
    sys.exit(1 if failed or not results else 0)


if __name__ == "__main__":
    main()
