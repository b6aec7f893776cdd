"""Signatures against Amazon's own signer, and against the example of its documentation."""

from datetime import UTC, datetime
from hashlib import sha256
from unittest.mock import patch

import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Theirs
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatd.uploads.sigv4 import Credentials, signed
from tests.examples import examples

# "Signature Calculations for the Authorization Header", GET Object.
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")


def test_signature_matches_the_aws_example() -> None:
    headers = {"range": "bytes=0-9"}
    fields = signed(
        EXAMPLE, "GET", "examplebucket.s3.amazonaws.com", "/test.txt", headers, sha256(b"").digest(), "20130524T000000Z"
    )
    assert fields["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


# The body and the key are hashed, whatever is in them.
@settings(max_examples=examples(25))
@example("GET", b"", "0", 80)
@given(
    st.sampled_from(["GET", "PUT", "DELETE"]),
    st.binary(max_size=200),
    st.text("abcdef0123456789", min_size=1),
    st.integers(1, 9999),
)
def test_signature_matches_botocore(method: str, body: bytes, key: str, port: int) -> None:
    url = httpx.URL(f"http://files.test:{port}/bucket/{key}")
    request = AWSRequest(method, str(url), headers={"range": "bytes=1-2"}, data=body)
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        request.context["payload_signing_enabled"] = True
        S3SigV4Auth(Theirs(EXAMPLE.key, EXAMPLE.secret), "s3", EXAMPLE.region).add_auth(request)
    ours = signed(
        EXAMPLE,
        method,
        url.netloc.decode(),
        url.path,
        {"range": "bytes=1-2"},
        sha256(body).digest(),
        "20260102T030405Z",
    )
    assert ours["x-amz-content-sha256"] == sha256(body).hexdigest()
    assert ours["authorization"] == request.headers["Authorization"]
