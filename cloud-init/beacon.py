"""Says at the deployment's ports why it does not answer yet: 503, the step, its last lines."""

import json
import os
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from last_run import read

SHOWN = ("state", "step", "since", "lines")
WORDS = {
    "applying": "This machine is being prepared. Try again in a minute.",
    "waiting": "This machine waits for somebody.",
    "interrupted": "It was cut off. `sudo opencode-cloud-apply` on the machine tries again.",
    "failed": "A step failed. `sudo opencode-cloud-apply` on the machine tries again.",
}


class Handler(BaseHTTPRequestHandler):
    """Gives every request the same answer."""

    timeout = 10
    server_version = "opencode-cloud"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer programs at /health in JSON, people elsewhere in words."""
        status = {key: value for key, value in read().items() if key in SHOWN}
        if self.path == "/health":
            self._send("application/json", json.dumps({"healthy": False} | status))
            return
        words = WORDS.get(status.get("state", ""), "")
        lines = [words, "", f"{status.get('step', '')} ({status.get('since', '')})"]
        self._send("text/plain; charset=utf-8", "\n".join([*lines, *status.get("lines", []), ""]))

    do_HEAD = do_POST = do_GET  # noqa: N815 - the names that the server looks for

    def _send(self, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(503)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Retry-After", "30")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
        """Log nothing: everybody asks all the time."""


class TlsServer(ThreadingHTTPServer):
    """Speaks TLS from each connection's own thread, so that none holds up the others."""

    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands before the request."""
        request.settimeout(10)
        with self.context.wrap_socket(request, server_side=True) as encrypted:
            self.RequestHandlerClass(encrypted, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave alone who does not speak TLS."""


def main() -> None:
    """Listen at the ports of the deployment until ended."""
    ports = read()["ports"]
    folder = Path(os.environ["RUNTIME_DIRECTORY"])
    secure = TlsServer(("", ports["https"]), Handler)
    secure.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    if ports["http"]:
        threading.Thread(target=serve_plain, args=(ports["http"],), daemon=True).start()
    secure.serve_forever()


def serve_plain(port: int) -> None:
    """Answer without TLS as well, unless a gateway that listened elsewhere still has the port."""
    try:
        ThreadingHTTPServer(("", port), Handler).serve_forever()
    except OSError as error:
        print(f"port {port}: {error}", flush=True)


if __name__ == "__main__":
    main()
