"""Settings of uploads."""

from typing import Annotated

from chatd.core.config import SECRET, BaseAddress, Bytes, Count, Declaration, Duration, Seconds, Section, Settings, doc


class UploadSettings(Section, frozen=True):
    dir: Annotated[
        str,
        doc("Folder for uploaded files; if empty, uploads below data.dir. Nodes on several machines must share it."),
    ] = ""
    s3_endpoint: Annotated[
        BaseAddress, doc("URL of an S3-compatible store, such as https://s3.eu-central-1.amazonaws.com.")
    ] = ""
    s3_bucket: Annotated[str, doc("Bucket for uploaded files, instead of a folder.")] = ""
    s3_region: Annotated[str, doc("Region used to sign requests.")] = "us-east-1"
    s3_key: Annotated[str, doc("Access key id. It needs s3:GetObject, s3:PutObject and s3:DeleteObject.")] = ""
    s3_secret: Annotated[str, SECRET, doc("Secret access key.")] = ""
    s3_secret_file: Annotated[str, doc("File that contains the secret access key, instead of s3_secret.")] = ""
    max_bytes: Annotated[Bytes, doc("Maximum size of a file, in bytes.")] = 10_485_760
    max_pixels: Annotated[Count, doc("Maximum pixels of an image, all frames together.")] = 25_000_000
    url_lifetime: Annotated[
        Duration,
        doc("Seconds for which a signed URL is valid at least, and at most twice as long; see docs/uploads.md."),
    ] = 3600.0
    s3_presigned: Annotated[
        bool,
        doc("Signed URLs lead to the bucket instead of chatd. Its endpoint must be reachable for clients."),
    ] = False
    scan: Annotated[
        str,
        doc('Address of a clamd that scans each file: "unix:/run/clamav/clamd.ctl" or "tcp:host:port".'),
    ] = ""
    scan_required: Annotated[
        bool, doc("Refuse files while the scanner does not answer. If false, they are accepted without a scan.")
    ] = True
    scan_timeout: Annotated[Duration, doc("Seconds within which the scanner must answer.")] = 30.0
    media_timeout: Annotated[
        Duration, doc("Seconds within which a process must have read an image, a sound or a video.")
    ] = 30.0
    timeout: Annotated[Duration, doc("Seconds within which an upload must arrive.")] = 60.0
    user_quota_bytes: Annotated[Bytes, doc("Maximum bytes that one user may upload within 24 hours.")] = 104_857_600
    address_quota_bytes: Annotated[
        Bytes,
        doc("Maximum bytes that all anonymous accounts of one address (/64 for IPv6) may upload within 24 hours."),
    ] = 1_073_741_824
    user_per_minute: Annotated[Count, doc("Maximum uploads per minute of one user, on each node.")] = 30


class RemovalSettings(Section, frozen=True):
    """How long removed contents are withheld for reports."""

    keep_removed: Annotated[
        Seconds,
        doc("Seconds for which a deleted message can still be included in a report; 0 keeps nothing."),
    ] = 86_400.0


SETTINGS: tuple[Declaration, ...] = (Settings("uploads", UploadSettings), Settings("moderation", RemovalSettings))
