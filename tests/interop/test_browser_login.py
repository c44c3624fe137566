"""A user with a real browser at an authorization server that is not ours."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trimcp import AuthorizationFailed, open_client
from trimcp.auth import OAuth

from ..browser.chromium import PATIENCE, needs_chromium
from ..browser.devtools import Tab, browser
from .authorization import AuthorizationServer, authorization_server, protected_server
from .test_our_client import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_chromium

SUBMIT = "button[type=submit]"


@pytest.fixture(scope="module")
def server(
    node_modules: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AuthorizationServer]:
    """An authorization server."""
    with authorization_server("jwt", tmp_path_factory.mktemp("jwt")) as started:
        yield started


def options_for(server: AuthorizationServer) -> list[str]:
    """A browser that trusts the authorization server, and finds nothing but this machine."""
    certificate = x509.load_pem_x509_certificate(server.certificate.read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return [
        f"--ignore-certificate-errors-spki-list={digest}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]


class Person:
    """Somebody at a browser, and what they have read there."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.logins = 0
        self.consents: list[str] = []
        self.last = ""

    async def visit(self, url: str) -> None:
        """Log in if need be, and agree."""
        await self.go(url)
        self.consents.append(await self.tab.text())
        await self.tab.click(SUBMIT)
        self.last = await self.tab.text()

    async def refuse(self, url: str) -> None:
        """Log in if need be, and do not agree."""
        await self.go(url)
        await self.tab.click("a[href$='/abort']")
        self.last = await self.tab.text()

    async def go(self, url: str) -> None:
        await self.tab.go(url)
        if await self.tab.has("[name=login]"):
            self.logins += 1
            await self.tab.type("[name=login]", "alice")
            await self.tab.type("[name=password]", "anything")
            await self.tab.click(SUBMIT)


async def test_a_login_and_a_step_up(server: AuthorizationServer, tmp_path: Path) -> None:
    """The browser remembers who was logged in; each time the user reads who asks for what."""
    scopes = {"notes:read", "notes:write"}
    async with (
        browser(tmp_path / "profile", *options_for(server)) as tab,
        protected_server(server, scopes_supported=scopes) as protected,
    ):
        person = Person(tab)
        auth = OAuth(browser=person.visit, client_name="Notes", ssl_context=server.trusting)
        with trio.fail_after(PATIENCE):
            async with open_client(protected.url, auth=auth) as client:
                assert text_of(await client.call_tool("who")) == "alice"
                assert "The answer has arrived." in person.last
                result = await client.call_tool("write", {"text": "eggs"})
                assert text_of(result) == "alice wrote eggs"
                assert "The answer has arrived." in person.last
    assert person.logins == 1
    first, second = person.consents
    assert "notes:read" in first
    assert "notes:write" not in first
    assert "notes:write" in second


async def test_a_user_who_refuses(server: AuthorizationServer, tmp_path: Path) -> None:
    async with (
        browser(tmp_path / "profile", *options_for(server)) as tab,
        protected_server(server) as protected,
    ):
        person = Person(tab)
        auth = OAuth(browser=person.refuse, ssl_context=server.trusting)
        with trio.fail_after(PATIENCE), pytest.raises(AuthorizationFailed, match="access_denied"):
            async with open_client(protected.url, auth=auth):
                pass
        assert "The login has failed." in person.last
