"""Check whether ports of this machine are free, and which program uses them."""

import errno
import socket

from chatd.app.checks import Finding
from chatd.app.listening import open_listener

# Bytes of the answer of a peer on a port, and seconds within which it must arrive.
MAX_ANSWER_BYTES, ANSWER_TIMEOUT_S = 65_536, 1.0
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


def port_finding(name: str, host: str, port: int, path: str, may_run: bool) -> Finding:
    """Whether the port is free. `may_run`: a port that a running chatd uses is accepted."""
    code = f"machine.port.{name}"
    try:
        open_listener(host, port, 1).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE and is_chatd(host, port, path):
            detail = f"{host}:{port} is in use by a running chatd"
            return Finding(
                f"{name} port",
                may_run,
                detail,
                f"chatd is already running; a second one needs a different {name}.port",
                code,
            )
        return Finding(f"{name} port", False, str(error), port_fix(error, name, port), code)
    return Finding(f"{name} port", True, f"{host}:{port} is free", code=code)


def port_fix(error: OSError, name: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"stop the program that listens there, which is not chatd (see `ss -ltnp sport = :{port}`), "
                f"or set {name}.port"
            )
        case errno.EACCES | errno.EPERM:
            return f"ports below 1024 need root: set {name}.port to a higher one and let a reverse proxy listen there"
        case errno.EADDRNOTAVAIL:
            return (
                f"this machine does not have that address: set {name}.host to one that `ip address` lists, "
                "or to 0.0.0.0"
            )
        case _:
            return f"set {name}.host and {name}.port to an address of this machine and a free port"


def is_chatd(host: str, port: int, path: str) -> bool:
    """Whether a chatd answers there: its HTTP port knows `/v1/socket/ping`, its gateway requires a token."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((ANY.get(host, host), port), ANSWER_TIMEOUT_S) as peer:
            peer.settimeout(ANSWER_TIMEOUT_S)
            peer.sendall(request.encode())
            answer = b""
            while len(answer) < MAX_ANSWER_BYTES and (part := peer.recv(4096)):
                answer += part
    except OSError:
        return False
    return any(mark in answer for mark in (b'"live":', b'"code":'))
