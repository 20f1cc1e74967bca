"""A provider's metadata service, as strict as the provider documents it: ``metadata.py PROVIDER``.

Reads from standard input, as JSON, what it knows: what a path answers, by the path. It listens at
169.254.169.254, which has to be an address of the machine it runs on.
"""

import json
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ADDRESS = "169.254.169.254"
TOKEN = "AQAEAO-of-this-machine"
LONGEST_SECONDS = 21600
AZURE = ("2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01")
"""Versions of Azure's service that know load balancers."""

Answer = tuple[int, str]


def aws(request: BaseHTTPRequestHandler, known: Mapping[str, Any]) -> Answer:
    """Answer nobody without a token, which only a PUT gives: version 2 alone."""
    if "X-Forwarded-For" in request.headers:
        return 403, "Forbidden"
    if request.path == "/latest/api/token":
        lives = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if request.command != "PUT":
            return 405, "Not Allowed"
        if not lives.isdecimal() or not 0 < int(lives) <= LONGEST_SECONDS:
            return 400, "Bad Request"
        return 200, TOKEN
    if request.headers.get("X-aws-ec2-metadata-token") != TOKEN:
        return 401, "Unauthorized"
    return found(known, request.path)


def gcp(request: BaseHTTPRequestHandler, known: Mapping[str, Any]) -> Answer:
    """Answer nobody who does not say that it is meant; folders as JSON."""
    if request.headers.get("Metadata-Flavor") != "Google" or "X-Forwarded-For" in request.headers:
        return 403, "Missing Metadata-Flavor:Google header."
    asked = urlsplit(request.path)
    if parse_qs(asked.query).get("recursive", ["false"])[0].lower() != "true":
        return found(known, asked.path)
    below = {
        path.removeprefix(asked.path): value
        for path, value in known.items()
        if path.startswith(asked.path)
    }
    return (200, json.dumps(below)) if below else (404, "Not Found")


def azure(request: BaseHTTPRequestHandler, known: Mapping[str, Any]) -> Answer:
    """Answer one value as text, everything else as JSON alone."""
    if request.headers.get("Metadata") != "true" or "X-Forwarded-For" in request.headers:
        return 400, "Bad request. Required metadata header not specified"
    asked = urlsplit(request.path)
    words = parse_qs(asked.query)
    if words.get("api-version", [""])[0] not in AZURE:
        return 400, "Bad request. api-version is invalid or was not specified"
    code, text = found(known, asked.path)
    is_text = words.get("format") == ["text"]
    if code == 200 and is_text != isinstance(known[asked.path], str):
        return 400, "Bad request. Requested format is not allowed"
    return code, text


def digitalocean(request: BaseHTTPRequestHandler, known: Mapping[str, Any]) -> Answer:
    """Answer everybody."""
    return found(known, request.path)


def found(known: Mapping[str, Any], path: str) -> Answer:
    """Give what is known there."""
    if path not in known:
        return 404, "Not Found"
    value = known[path]
    return 200, value if isinstance(value, str) else json.dumps(value, indent=2)


def main() -> None:
    """Serve until ended."""
    answers = {"aws": aws, "gcp": gcp, "azure": azure, "digitalocean": digitalocean}[sys.argv[1]]
    known = json.load(sys.stdin)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, text = answers(self, known)
            body = text.encode()
            self.send_response(code)
            if answers is gcp:
                self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST = do_GET  # noqa: N815 - the names that the server looks for

    ThreadingHTTPServer((ADDRESS, 80), Handler).serve_forever()


if __name__ == "__main__":
    main()
