"""The HTTP side, for nginx alone: asks opencode, and answers 304 when the client has it already.

opencode sends neither ETag nor Last-Modified, and its list of providers alone is 6 MB: a page
asks for it four times, and for all of it again on each reload. The comparison is RFC 9110's for
If-None-Match (section 13.1.2), which is weak: nginx compresses, and weakens the tag.
"""

import hashlib
import http.client
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from threading import BoundedSemaphore

OPENCODE_SECONDS = 60
"""How long opencode may take for a whole answer."""
AT_ONCE = 4
"""Questions that opencode is asked at once; each answer is held in memory."""
# Of one connection, not of the message (RFC 9110, section 7.6.1).
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}
# Made anew here, or meant for whoever holds a copy.
_OWN = {"content-length", "if-none-match", "if-modified-since", "if-range", "range", "date"}


def etag(body: bytes) -> str:
    """The entity tag of `body`: the same bytes have the same."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def is_known(tag: str, if_none_match: str) -> bool:
    """Whether an If-None-Match header names `tag`, compared weakly."""
    names = [name.strip().removeprefix("W/") for name in if_none_match.split(",")]
    return tag in names or names == ["*"]


def handler(host: str, port: int) -> type[BaseHTTPRequestHandler]:
    """The handler of requests for opencode at `host` and `port`."""
    limit = BoundedSemaphore(AT_ONCE)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # nginx keeps a connection for at most its own keepalive_timeout.
        timeout = OPENCODE_SECONDS

        def do_GET(self) -> None:
            """Pass the question on, and the answer back unless it is known."""
            with limit:
                try:
                    self._answer(*self._ask())
                except (OSError, http.client.HTTPException) as error:
                    print(f"opencode sent no whole answer ({type(error).__name__})", flush=True)
                    self.close_connection = True
                    self.send_error(HTTPStatus.BAD_GATEWAY)

        def _ask(self) -> tuple[http.client.HTTPResponse, bytes]:
            connection = http.client.HTTPConnection(host, port, timeout=OPENCODE_SECONDS)
            try:
                connection.request("GET", self.path, headers=_kept(self.headers.items()))
                answer = connection.getresponse()
                return answer, answer.read()
            finally:
                connection.close()

        def _answer(self, answer: http.client.HTTPResponse, body: bytes) -> None:
            headers = _kept(answer.getheaders())
            status = answer.status
            if status == HTTPStatus.OK:
                tag = etag(body)
                headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
                if is_known(tag, self.headers.get("If-None-Match", "")):
                    status, body = HTTPStatus.NOT_MODIFIED, b""
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != HTTPStatus.NOT_MODIFIED:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the base)
            """Say nothing: nginx logs requests."""

    return Handler


def _kept(headers: list[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in _HOP_BY_HOP | _OWN}
