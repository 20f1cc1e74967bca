"""The Docker engine's API on its Unix socket."""

import http.client
import json
import socket


class SocketConnection(http.client.HTTPConnection):
    """HTTP to the engine that listens on a Unix socket."""

    def __init__(self, path: str, timeout: float | None = None) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def answers(path: str) -> bool:
    """Whether an engine answers on the socket; also true when this user may not ask it."""
    connection = SocketConnection(path, timeout=5)
    try:
        connection.request("GET", "/version")
        return "ApiVersion" in json.load(connection.getresponse())
    except PermissionError:
        return True
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
