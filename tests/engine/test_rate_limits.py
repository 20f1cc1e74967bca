"""Guessing passwords at a real container: for whom it gets slow, and for whom it does not."""

import itertools
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import docker
import pytest
import requests

from tests.engine.container import BASIC, Running, running
from tests.engine.deployment import PASSWORD

ATTEMPTS, WINDOW = 3, 6
STRICT = {
    "OPENCODE_CLOUD_RATE_LIMIT_ATTEMPTS": str(ATTEMPTS),
    "OPENCODE_CLOUD_RATE_LIMIT_WINDOW_SECONDS": str(WINDOW),
    # What comes through the published port may say where it comes from, so that tests can be many.
    "OPENCODE_CLOUD_TRUST_PROXY": "127.0.0.1",
}
ADDRESSES = itertools.count(1)
PASSWORDS = itertools.count(1)
USERS = itertools.count(1)


@pytest.fixture(scope="module")
def strict(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container that takes few wrong passwords."""
    with running(docker_client, image, STRICT) as container:
        yield container


class Person:
    """Somebody at an address that nobody else has, or whoever else is given it."""

    def __init__(self, gateway: Running, user: str, address: str = "") -> None:
        self.gateway = gateway
        self.user = user
        self.address = address or f"203.0.113.{next(ADDRESSES)}"
        self.browser = requests.Session()
        self.headers = {"X-Forwarded-For": self.address}
        self.browser.headers.update(self.headers)

    def sign_in(self, password: str = PASSWORD) -> requests.Response:
        """By the form."""
        return self.gateway.send_form(self.browser, username=self.user, password=password)

    def guess(self) -> requests.Response:
        """By the form, wrongly."""
        return self.sign_in(wrong())

    def ask(self, password: str = PASSWORD) -> requests.Response:
        """By Basic, as a program."""
        url, basic = f"{self.gateway.url}/global/health", (self.user, password)
        return requests.get(url, auth=basic, headers=self.headers, timeout=30)

    def is_let_in(self) -> bool:
        """By the session."""
        return self.gateway.lets_in(self.browser)


def wrong() -> str:
    """A password that nobody has, nor tried before."""
    return f"wrong {next(PASSWORDS)}"


@pytest.fixture
def user(strict: Running) -> str:
    """An account that no other test has guessed at."""
    name = f"user{next(USERS)}"
    strict.add_user(name)
    return name


def test_after_too_many_wrong_passwords_a_person_is_told_for_how_long_to_wait(
    strict: Running, user: str
):
    person = Person(strict, user)
    for _ in range(ATTEMPTS):
        assert person.guess().status_code == 401
    answer = person.sign_in()
    assert answer.status_code == 429
    seconds = int(answer.headers["Retry-After"])
    assert 0 < seconds <= WINDOW
    said = re.search(r'role="alert">Too many wrong passwords. Try again in (\d+) sec', answer.text)
    assert said
    assert int(said[1]) == seconds
    assert f'value="{user}"' in answer.text
    time.sleep(seconds)
    assert person.sign_in().status_code == 303
    assert person.is_let_in()


def test_a_program_is_told_so_in_a_header(strict: Running, user: str):
    program = Person(strict, user)
    for _ in range(ATTEMPTS):
        assert program.ask(wrong()).status_code == 401
    answer = program.ask()
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= WINDOW
    assert "try again in" in answer.json()["error"]
    assert "WWW-Authenticate" not in answer.headers
    time.sleep(int(answer.headers["Retry-After"]))
    assert program.ask().status_code == 200


def test_guesses_made_at_once_do_not_get_past_the_limit(strict: Running, user: str):
    guesser = Person(strict, user)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: guesser.ask(wrong()).status_code, range(48)))
    assert answers.count(401) == ATTEMPTS
    assert answers.count(429) == len(answers) - ATTEMPTS


def test_other_addresses_and_other_accounts_are_not_held_up(strict: Running, user: str):
    guesser = Person(strict, user)
    for name in ("nobody", "root", user):
        Person(strict, name, guesser.address).guess()
    assert guesser.sign_in().status_code == 429
    assert Person(strict, user).sign_in().status_code == 303
    assert Person(strict, *BASIC[:1]).ask().status_code == 200


def test_an_account_is_guarded_whatever_the_addresses_and_its_owner_not_locked_out(
    strict: Running, user: str
):
    owner = Person(strict, user)
    program = Person(strict, user)
    assert owner.sign_in().status_code == 303
    assert program.ask().status_code == 200
    for _ in range(ATTEMPTS):
        assert Person(strict, user).guess().status_code == 401
    stranger = Person(strict, user)
    assert stranger.guess().status_code == 429
    assert stranger.sign_in().status_code == 429
    assert owner.is_let_in()
    assert Person(strict, user, owner.address).sign_in().status_code == 303
    assert Person(strict, user, owner.address).ask().status_code == 200
    assert program.ask().status_code == 200


def test_what_is_signed_in_already_is_never_held_up(strict: Running, user: str):
    person = Person(strict, user)
    assert person.sign_in().status_code == 303
    assert person.ask().status_code == 200
    answers = [person.ask(wrong()).status_code for _ in range(ATTEMPTS + 1)]
    assert answers[-1] == 429
    assert person.is_let_in()
    assert person.ask().status_code == 200


def test_who_has_no_account_is_told_the_same_as_who_has(strict: Running, user: str):
    answers = {}
    for name in (user, f"no-{user}"):
        people = [Person(strict, name) for _ in range(ATTEMPTS + 1)]
        answers[name] = [person.guess().status_code for person in people]
    assert answers[user] == answers[f"no-{user}"] == [401] * ATTEMPTS + [429]


@pytest.mark.parametrize("header", ["X-Gateway-Address", "X-Real-IP", "Forwarded"])
def test_nobody_gets_more_attempts_by_lying_about_the_address(
    strict: Running, user: str, header: str
):
    liar = Person(strict, user)
    answers = []
    for number in range(ATTEMPTS + 1):
        liar.headers[header] = f"198.51.100.{number}"
        answers.append(liar.ask(wrong()).status_code)
    assert answers == [401] * ATTEMPTS + [429]


def test_asking_without_credentials_is_no_attempt(strict: Running, user: str):
    person = Person(strict, user)
    for _ in range(5 * ATTEMPTS):
        answer = person.browser.get(f"{strict.url}/session", timeout=10)
        assert answer.status_code == 401
    assert person.sign_in().status_code == 303
