"""A model provider for tests: speaks OpenAI's chat completions, and always says the same.

Copied into the container and run there, so that opencode finds it on its own
loopback: ``python3 fake_model.py PORT``.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = ("The ", "answer ", "is ", "forty-two.")


class Completions(BaseHTTPRequestHandler):
    """Streams ``ANSWER`` word by word, as a provider does."""

    protocol_version = "HTTP/1.0"

    def do_POST(self) -> None:
        """Answer ``/v1/chat/completions``."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in ANSWER:
            self._event({"index": 0, "delta": {"role": "assistant", "content": word}})
            time.sleep(0.05)
        usage = {"prompt_tokens": 1, "completion_tokens": len(ANSWER), "total_tokens": 5}
        self._event({"index": 0, "delta": {}, "finish_reason": "stop"}, usage)
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, choice: dict[str, object], usage: dict[str, int] | None = None) -> None:
        chunk = {
            "id": "chatcmpl-test",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "test",
            "choices": [choice],
            "usage": usage,
        }
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Completions).serve_forever()
