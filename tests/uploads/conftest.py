"""An S3 for the tests of uploads: moto's server in a process of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from chatd.uploads.settings import UploadSettings
from tests.support import PATIENCE

BUCKET = UploadSettings(
    s3_bucket="chatd-files", s3_key="AKIATEST", s3_secret="secret-of-the-bucket", s3_region="eu-central-1"
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 with an empty bucket."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "AWS_DEFAULT_REGION": BUCKET.s3_region}
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        wait_for(endpoint, server)
        client(endpoint).create_bucket(
            Bucket=BUCKET.s3_bucket, CreateBucketConfiguration={"LocationConstraint": BUCKET.s3_region}
        )
        yield endpoint
    finally:
        server.kill()
        server.wait()


def wait_for(endpoint: str, server: "subprocess.Popen[bytes]") -> None:
    """Without Trio: the code that uses the fixture already runs in Trio."""
    deadline = time.monotonic() + 6 * PATIENCE
    while time.monotonic() < deadline:
        assert server.poll() is None
        try:
            urllib.request.urlopen(f"{endpoint}/moto-api/").close()
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError


def client(endpoint: str) -> Any:
    """Amazon's own client, for comparison."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=BUCKET.s3_region,
        aws_access_key_id=BUCKET.s3_key,
        aws_secret_access_key=BUCKET.s3_secret,
    )
