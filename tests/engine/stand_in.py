"""A server in opencode's place that tells what it was sent."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import docker

from tests.engine.container import PATIENT, Running, running, wait_until

MARK = "X-Stand-In"
"""Header of everything that the stand-in answers."""
PROGRAM = """
import http.server, json

seen = []

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        while length > 0:
            length -= len(self.rfile.read(min(length, 1 << 20)))
        if self.path != "/global/health":
            seen.append(self.path)
        answer = {"healthy": True, "version": "0", "target": self.path, "seen": seen,
            "headers": dict(self.headers)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "planted=1")
        self.send_header("WWW-Authenticate", "Basic realm=x")
        self.send_header("X-Stand-In", "1")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

http.server.ThreadingHTTPServer(("127.0.0.1", 4096), Handler).serve_forever()
"""


@contextmanager
def standing_in(
    client: docker.DockerClient,
    image: str,
    environment: Mapping[str, str] = PATIENT,
    program: str = PROGRAM,
) -> Iterator[Running]:
    """A container whose opencode is `program`, which must call itself version 0."""
    with running(client, image, environment) as container:
        container.run("s6-svc", "-wD", "-d", "/run/service/opencode")
        container.container.exec_run(["python3", "-c", program], user="opencode", detach=True)
        # What /health says may be half a second old, and of the real one.
        wait_until(lambda: container.health().get("version") == "0", 30, container.logs)
        yield container
