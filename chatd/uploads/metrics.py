"""Metrics of uploads."""

from chatd.app.metrics import Metric, number
from chatd.uploads.media.workers import MediaWorkers
from chatd.uploads.scanning import Scanner

METRICS: tuple[Metric, ...] = (
    number(
        "chatd_upload_malware_total",
        "Files that were refused because the scanner found malware.",
        lambda node: node.get(Scanner).found,
    ),
    number(
        "chatd_upload_unscanned_total",
        "Files that were accepted while the scanner failed (`uploads.scan_required = false`).",
        lambda node: node.get(Scanner).unscanned,
    ),
    number(
        "chatd_upload_media_failures_total",
        "Files that the process that reads them did not survive, or not within its time.",
        lambda node: node.get(MediaWorkers).failures,
    ),
)
