"""Asking PAM whether a password is right, without holding up anybody else."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pam
from accounts import LONGEST_PASSWORD

from session.verifier import AT_ONCE

SERVICE = "opencode-cloud"
"""The file in /etc/pam.d that says how."""


class Pam:
    """PAM in a few threads of its own; hashing does not hold Python's lock."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pam")
        self._local = threading.local()

    async def accepts(self, name: str, password: str) -> bool:
        """Whether PAM lets `name` in with `password`; takes about 50 ms, either way."""
        if "\0" in name + password or len(password.encode()) > LONGEST_PASSWORD:
            return False
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._ask, name, password)

    def _ask(self, name: str, password: str) -> bool:
        # An authenticator holds the state of one question, so each thread has its own; making one
        # starts a process (ldconfig), so it is kept, and its list of prompts must not grow.
        if not hasattr(self._local, "authenticator"):
            self._local.authenticator = pam.PamAuthenticator()
        authenticator = self._local.authenticator
        authenticator.messages.clear()
        return authenticator.authenticate(name, password, service=SERVICE, resetcreds=False)
