"""Step: opencode answers."""

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from opencode_cloud.start.plan import Context, Outcome, Report
from opencode_cloud.start.process import CommandError

HEALTHY_SECONDS = 60
# A request that comes too early is never answered, so that each try ends soon.
TRY_SECONDS = 3


@dataclass
class Health:
    """Waits until the deployment's ``/health`` says that opencode itself answers."""

    context: Context
    title = "opencode answers"

    def is_done(self) -> str:
        """Ask once; before the deployment is known there is nobody to ask."""
        url = self.context.outputs.get("url", "")
        if not url or self._problem(url):
            return ""
        self.context.fingerprint = self._fingerprint(url)
        return url

    def obstacle(self) -> str:
        """There is none."""
        return ""

    def plan(self) -> list[str]:
        """Give what is waited for."""
        return [f"wait until /health answers (at most {HEALTHY_SECONDS} s)"]

    def run(self, report: Report) -> Outcome:
        """Ask until it is healthy."""
        url = self.context.outputs["url"]
        deadline = time.monotonic() + HEALTHY_SECONDS
        while why := self._problem(url):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"{url}/health is not healthy after {HEALTHY_SECONDS} s: {why}. The last lines "
                    f"of `docker logs {self.context.container}`:",
                    self._last_lines(),
                )
            report.progress(why)
            time.sleep(0.5)
        self.context.fingerprint = self._fingerprint(url)
        return Outcome(url, changed=False)

    def _problem(self, url: str) -> str:
        if not url.startswith("https:") and not self.context.is_remote:
            return problem(url)
        # A public name may not lead here yet, nobody on this machine need trust an authority of
        # its own, and another one's loopback is not ours: the container's own check asks.
        check = self._exec("/usr/lib/opencode-cloud/healthcheck")
        return "" if self.context.runner.ask(*check).ok else "its health check fails"

    def _fingerprint(self, url: str) -> str:
        """Of a certificate of the deployment's own authority; empty for any other."""
        if not url.startswith("https:"):
            return ""
        asked = self.context.runner.ask(*self._exec("opencode-certificate", "--json"))
        facts = json.loads(asked.out) if asked.ok else {}
        return facts["fingerprint_sha256"] if facts.get("issuer") == "internal" else ""

    def _exec(self, *words: str) -> tuple[str, ...]:
        return self.context.docker("exec", self.context.container, *words)

    def _last_lines(self) -> list[str]:
        name = self.context.container
        logs = self.context.runner.ask(*self.context.docker("logs", "--tail", "30", name))
        return [*logs.out.splitlines(), *logs.err.splitlines()]


def problem(url: str) -> str:
    """Say why ``url``'s service is not healthy; empty when it is."""
    try:
        # Straight to it: a proxy of the environment's has no way to this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/health", timeout=TRY_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"it answers {error.code}: {_reason(error)}"
    except (OSError, http.client.HTTPException) as error:
        return f"no answer yet ({getattr(error, 'reason', None) or error})"


def _reason(error: urllib.error.HTTPError) -> str:
    text = error.read(500).decode(errors="replace").strip()
    try:
        return str(json.loads(text).get("reason", text))
    except (ValueError, AttributeError):
        return text
