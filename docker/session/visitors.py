"""Who sends a request: from its cookie and its credentials to a visitor."""

from session import request as incoming
from session.audit import LONGEST_AGENT, Client
from session.auth import Authenticator, Visitor
from session.cookies import Cookies
from session.request import Message
from session.verifier import Later


class Visitors:
    """Finds them."""

    def __init__(self, authenticator: Authenticator, cookies: Cookies) -> None:
        self._authenticator = authenticator
        self._cookies = cookies

    async def of(self, request: Message) -> Visitor | Later | None:
        """Who sends the request. Credentials come before a cookie, even if they are wrong."""
        credentials = incoming.credentials(request.headers)
        if credentials:
            return await self._authenticator.by_password(*credentials, client_of(request))
        return self.of_session(request)

    def of_session(self, request: Message) -> Visitor | None:
        """Whose session the request carries."""
        token = self._cookies.session(request)
        if not token or incoming.app_origin(request.headers):
            return None
        return self._authenticator.by_session(token, client_of(request).address)


def client_of(request: Message) -> Client:
    """Where the request comes from."""
    agent = request.headers.get("User-Agent", "")[:LONGEST_AGENT]
    # What is no UTF-8 can be neither stored nor shown.
    readable = agent.encode(errors="replace").decode()
    return Client(request.headers["X-Gateway-Address"], readable)
