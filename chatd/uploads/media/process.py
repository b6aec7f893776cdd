"""The process that reads files which users have uploaded: a child of `chatd serve`.

It decodes what anybody may have made, so it has little memory and time, no core dump, and writes no files. It gets a
line with a `Job` and then the file, answers with a line with an `Outcome` and then the new files, and ends with its
standard input.
"""

import os
import resource
import sys
from typing import BinaryIO

from msgspec import json

from chatd.uploads.media.image_headers import BadImage, TooLarge
from chatd.uploads.media.inspection import inspect
from chatd.uploads.media.protocol import Job, Limits, Outcome

# How much less of a busy core it gets than the server: a third.
NICENESS = 5
# Memory besides the file and its pixels, in bytes of address space.
BASE_BYTES = 768 * 1024 * 1024
# Bytes for each pixel: the decoded frames, their copies, the encoder.
BYTES_PER_PIXEL = 24
# Copies of the file.
COPIES = 8


def main() -> None:
    limits = json.decode(sys.argv[1], type=Limits)
    confine(limits)
    while True:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        job = json.decode(line, type=Job)
        used = resource.getrusage(resource.RUSAGE_SELF)
        # If the parent is killed, nobody else ends a job that takes for ever.
        soft = int(used.ru_utime + used.ru_stime + limits.seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
        work(job, sys.stdin.buffer.read(job.size), limits, sys.stdout.buffer)


def confine(limits: Limits) -> None:
    os.nice(NICENESS)
    memory = BASE_BYTES + BYTES_PER_PIXEL * limits.max_pixels + COPIES * limits.max_bytes
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        memory = min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def work(job: Job, data: bytes, limits: Limits, out: BinaryIO) -> None:
    files: list[bytes] = []
    try:
        done = inspect(data, job.mime, limits.max_pixels)
    except BadImage as error:
        outcome = Outcome(code="too_large" if isinstance(error, TooLarge) else "bad_request", message=str(error))
    except MemoryError:
        outcome = Outcome(code="too_large", message="the file needs too much memory")
    else:
        files = [one for one in (done.content, done.thumbnail) if one is not None]
        outcome = Outcome(done.facts, size_of(done.content), size_of(done.thumbnail))
    out.write(json.encode(outcome) + b"\n")
    for one in files:
        out.write(one)
    out.flush()


def size_of(data: bytes | None) -> int | None:
    return None if data is None else len(data)


if __name__ == "__main__":
    main()
