"""`--auth`: commands of programs that have no user."""

from __future__ import annotations

from contextlib import redirect_stderr
from functools import partial
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING

import pytest
import trio
from joserfc.jwk import ECKey

from tests.auth.world import World, open_world
from trimcp.cli import main

from .harness import is_one_line, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

#: What is only in the environment and in files.
SECRET = "swordfish: ü%"
JWT = "eyJhbGciOiJub25lIn0.e30."

URL = "http://127.0.0.1:1/mcp"


@pytest.fixture(autouse=True)
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with secrets; there are others in the environment, and no logins."""
    monkeypatch.setenv("TRIMCP_LOGINS", str(tmp_path / "logins"))
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setenv("TOKEN", JWT)
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    (tmp_path / "token").write_text(f"{JWT}\n")
    key = ECKey.generate_key("P-256")
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=True))
    (tmp_path / "public.pem").write_bytes(key.as_pem(private=False))
    return tmp_path


async def called(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    """What comes of a call in a process of its own."""
    done = await trio.to_thread.run_sync(partial(run, "call", *words, world.url, "x"))
    assert SECRET not in done.stdout + done.stderr
    assert JWT not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("given", ["env", "file"])
async def test_a_secret(given: str, secrets: Path) -> None:
    way = {"env": "SECRET", "file": str(secrets / "secret")}[given]
    async with open_world() as world:
        done = await called(
            world,
            *("--auth", "client-credentials", "--client-id", "me", "--issuer", world.origin),
            *(f"--client-secret-{given}", way, "--scope", "a", "--scope", "b"),
        )
        assert (done.returncode, done.stderr) == (0, "")
        (exchange,) = world.of("/token")
        assert exchange.form["scope"] == "a b"
        assert exchange.headers["authorization"].startswith("Basic ")
    assert not (secrets / "logins").exists()


async def test_a_key(secrets: Path) -> None:
    async with open_world() as world:
        key = str(secrets / "key.pem")
        options = ["--auth", "client-credentials", "--client-id", "me", "--private-key-file", key]
        done = await called(world, *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert "client_assertion" in world.of("/token")[0].form


@pytest.mark.parametrize("given", ["env", "file"])
async def test_a_token_of_the_platform(given: str, secrets: Path) -> None:
    way = {"env": "TOKEN", "file": str(secrets / "token")}[given]
    async with open_world() as world:
        options = ["--auth", "workload-identity", "--issuer", world.origin]
        done = await called(world, *options, f"--assertion-{given}", way)
        assert (done.returncode, done.stderr) == (0, "")
        assert world.of("/token")[0].form["assertion"] == JWT


async def test_an_identity_provider_that_refuses(secrets: Path) -> None:
    async with open_world() as world, open_world() as idp:
        idp.more_metadata = {"grant_types_supported": []}
        done = await called(
            world,
            *("--auth", "enterprise", "--client-id", "me", "--issuer", world.origin),
            *("--client-secret-env", "SECRET", "--assertion-env", "TOKEN"),
            *("--idp-issuer", idp.origin, "--idp-client-id", "there"),
            *("--idp-client-secret-file", str(secrets / "secret")),
        )
        assert done.returncode == 1
        assert is_one_line(done.stderr)
        assert "identity provider" in done.stderr
        assert "trimcp login" not in done.stderr


CREDENTIALS = ["--auth", "client-credentials", "--client-id", "me"]
SECRETLY = ["--client-secret-env", "SECRET", "--issuer", "https://as.example"]
WORKLOAD = ["--auth", "workload-identity", "--issuer", "https://as.example"]
ENTERPRISE = ["--auth", "enterprise", "--client-id", "me", "--issuer", "https://as.example"]
PROVIDER = ["--idp-issuer", "https://idp.example", "--idp-client-id", "there"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--client-id", "me"], "--client-id belongs to --auth"),
        (["--scope", "a"], "--scope belongs to --auth"),
        (["--auth", "client-credentials"], "needs --client-id"),
        (CREDENTIALS, "--client-secret-env or --client-secret-file or --private-key-file"),
        ([*CREDENTIALS, "--client-secret-env", "SECRET"], "needs --issuer"),
        ([*CREDENTIALS, *SECRETLY, "--private-key-file", "x"], "not both"),
        ([*CREDENTIALS, *SECRETLY, "--assertion-env", "TOKEN"], "is not for --auth client-cred"),
        ([*CREDENTIALS, *SECRETLY, "--token-env", "TOKEN"], "--token-env"),
        ([*CREDENTIALS, *SECRETLY, "--header", "authorization: x"], "Authorization"),
        ([*CREDENTIALS, "--client-secret-env", "NOWHERE", "--issuer", "https://a"], "NOWHERE"),
        ([*CREDENTIALS, "--private-key-file", "/nowhere"], "/nowhere"),
        ([*CREDENTIALS, "--private-key-file", "{}/secret"], "no PEM text"),
        ([*CREDENTIALS, "--private-key-file", "{}/public.pem"], "public key"),
        ([*CREDENTIALS, "--client-secret-env", "SECRET", "--issuer", "http://a"], "https"),
        (["--auth", "workload-identity"], "needs --issuer"),
        (WORKLOAD, "needs --assertion-env or --assertion-file"),
        ([*WORKLOAD, *SECRETLY, "--assertion-env", "TOKEN"], "not for --auth workload-identity"),
        (ENTERPRISE, "needs --idp-issuer"),
        ([*ENTERPRISE, *PROVIDER], "needs --assertion-env"),
        (["--auth", "magic"], "magic"),
        ([f"--client-secret={SECRET}"], "unknown option: --client-secret"),
        ([f"--assertion={SECRET}"], "unknown option: --assertion"),
        ([*CREDENTIALS, "--private-key-file", "{}/secret"], "--private-key-file is no PEM"),
        ([*CREDENTIALS, *SECRETLY, "--scope", "a b"], "--scope: 'a b'"),
        (["--auth", "client-credentials", "--client-id", "", *SECRETLY], "--client-id is empty"),
    ],
)
def test_what_makes_no_sense(words: list[str], told: str, secrets: Path) -> None:
    text = refused(*(word.format(secrets) for word in words), URL)
    assert told in text
    assert SECRET not in text


def refused(*words: str) -> str:
    """What is said of a call that makes no sense."""
    said = TextIOWrapper(BytesIO(), encoding="utf-8")
    status: object = None
    with redirect_stderr(said):
        try:
            status = main(["call", *words, "x"])
        except SystemExit as left:
            status = left.code
    assert status == 2
    said.seek(0)
    return said.read()


def test_only_servers_at_urls_demand_it() -> None:
    assert "TARGET that is a URL" in refused(*CREDENTIALS, *SECRETLY, "tcp://127.0.0.1:1")


def test_a_file_that_is_no_secret(secrets: Path) -> None:
    odd = secrets / "odd"
    for held in (b"", b"\n", b"\xff", b"x" * 70_000):
        odd.write_bytes(held)
        options = [*CREDENTIALS, "--issuer", "https://as.example", "--client-secret-file"]
        assert is_one_line(refused(*options, str(odd), URL))
