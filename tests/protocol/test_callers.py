"""Who may call a server: `Host` and `Origin`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.counting import bytes_taken
from trimcp.protocol import Callers, callers_of

LOCAL = callers_of(["127.0.0.1"], None, None)


@pytest.mark.parametrize(
    ("listening", "host"),
    [
        (["192.0.2.1"], "192.0.2.1:80"),
        (["box.example"], "BOX.example"),
        (["box.example"], "box.example.:80"),
        (["2001:db8::1"], "[2001:DB8::1]:80"),
        (["0.0.0.0"], "localhost"),
        (["::"], "[::1]"),
    ],
)
def test_what_it_listens_on(listening: list[str], host: str) -> None:
    assert callers_of(listening, None, None).refusal(host, []) is None


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::", ""])
def test_all_addresses_are_no_names(wildcard: str) -> None:
    callers = callers_of([wildcard], None, None)
    for host in (wildcard, f"[{wildcard}]", "192.0.2.1"):
        assert callers.refusal(host, []) is not None


@pytest.mark.parametrize(
    ("allowed", "host", "served"),
    [
        ("a.example", "a.example", True),
        ("a.example", "a.example:1", True),
        ("a.example", "b.a.example", False),
        ("a.example:1", "a.example:1", True),
        ("a.example:1", "a.example:2", False),
        ("a.example:1", "a.example", False),
        ("*.example", "a.b.example:7", True),
        ("*.example", "example", False),
        ("*.example", "badexample", False),
        ("[::5]", "[::5]:80", True),
        ("::5", "[::5]", True),
        ("[::5]:80", "[::5]:80", True),
        ("[::5]:80", "[::5]:81", False),
        ("*", "anything", True),
        ("a.example", "", False),
    ],
)
def test_allowed_hosts(allowed: str, host: str, served: bool) -> None:
    callers = callers_of([], [allowed], None)
    assert (callers.refusal(host, []) is None) == served
    if served and allowed != "*":
        # Its own pages may call it.
        assert callers.refusal(host, [f"http://{host}", f"https://{host}"]) is None
        assert callers.refusal(host, [f"http://{host}", "http://evil.test"]) is not None


def test_a_server_with_every_name_has_no_pages_of_its_own() -> None:
    callers = callers_of([], ["*"], None)
    assert callers.refusal("evil.example", ["http://evil.example"]) is not None
    assert callers_of([], ["*"], ["*"]).refusal("evil.example", ["null"]) is None


@pytest.mark.parametrize(
    ("allowed", "origin", "served"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://a.example/", "HTTPS://A.example", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:444", False),
        ("https://a.example", "https://a.example.evil.example", False),
        ("a.example", "http://a.example:5", True),
        ("a.example", "a.example", False),
        ("app://thing", "app://thing", True),
    ],
)
def test_allowed_origins(allowed: str, origin: str, served: bool) -> None:
    callers = callers_of(["localhost"], None, [allowed])
    assert (callers.refusal("localhost", [origin]) is None) == served
    assert callers.refusal("localhost", ["http://localhost"]) is not None


@pytest.mark.parametrize(
    "origin",
    [
        "moz-extension://localhost",
        "chrome-extension://localhost",
        "file://localhost",
        "ws://localhost",
        "app://localhost",
        "javascript://localhost",
        "://localhost",
        "//localhost",
        "localhost",
        "localhost:80",
        "null",
        "",
        "http:localhost",
        "http:/localhost",
        "http://localhost/",
        "http://localhost, http://localhost",
    ],
)
@pytest.mark.parametrize("allowed", [None, ["localhost"]])
def test_what_is_no_web_origin_is_refused_although_its_host_is_allowed(
    origin: str, allowed: list[str] | None
) -> None:
    callers = callers_of(["localhost"], ["localhost"], allowed)
    assert callers.refusal("localhost", ["http://localhost"]) is None
    assert callers.refusal("localhost", [origin]) is not None
    assert callers.refusal("localhost", ["http://localhost", origin]) is not None
    assert callers.refusal("localhost", [origin, "http://localhost"]) is not None


@pytest.mark.parametrize("host", ["https://x.example", "x/y", "x:99999999", "", "[::1", "a b"])
def test_what_is_no_name_cannot_be_allowed(host: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        callers_of([], [host], None)


@pytest.mark.parametrize("lists", [("a.example", None), (None, "https://a.example")])
def test_one_name_is_no_list(lists: tuple[str | None, str | None]) -> None:
    with pytest.raises(TypeError, match=r"a\.example"):
        callers_of([], *lists)


@given(st.text(max_size=40), st.text(max_size=40))
def test_anything_is_answered(host: str, origin: str) -> None:
    for callers in (LOCAL, Callers(frozenset(), frozenset())):
        callers.refusal(host, [origin])


@given(
    st.sampled_from(["localhost", "127.0.0.1", "[::1]"]),
    st.text("./:@#?[]\\\t e", min_size=1, max_size=6),
)
def test_nothing_but_a_port_may_follow(name: str, rest: str) -> None:
    """What parsers disagree about is refused."""
    assert LOCAL.refusal("localhost", [f"http://{rest}{name}"]) is not None
    if rest.strip(".") and not rest.rstrip(".").endswith(":"):
        assert LOCAL.refusal(f"{name}{rest}", []) is not None


# -- whatever a client sends ------------------------------------------------------------------


LENGTHS = [256, 2_560, 25_600, 256_000]
EVERYBODY = callers_of([], ["*"], ["*"])


@pytest.mark.parametrize("piece", ["a", "a.", ".", "[", ":", "*.", "é", "a.example"])
@pytest.mark.parametrize("callers", [LOCAL, EVERYBODY, callers_of([], ["*.example"], None)])
def test_a_long_name_is_refused_and_nothing_of_it_repeated(callers: Callers, piece: str) -> None:
    spent = []
    for length in LENGTHS[1:]:
        name = (piece * length)[:length]
        for host, origins in ((name, []), ("localhost", [f"http://{name}"])):
            with bytes_taken() as taken:
                refusal = callers.refusal(host, origins)
                explained = callers.explained(host, origins)
            assert refusal is not None
            assert len(refusal) < 60
            assert explained is not None
            assert len(explained) < 600
            spent.append(taken.peak)
    # Nothing is built from what is too long.
    assert max(spent) < 10_000, spent


def test_the_longest_name() -> None:
    labels = ".".join(["a" * 9] * 24)
    name = f"{'b' * (255 - len('.example.org') - len(labels) - 1)}.{labels}.example.org"
    assert len(name) == 255
    for allowed in (name, "*.example.org", "*"):
        callers = callers_of([], [allowed], ["*"])
        assert callers.refusal(f"{name}:65535", [f"https://{name}:65535"]) is None
        assert callers.refusal(f"b{name}", []) is not None


@given(st.text("a.*-", min_size=1, max_size=12), st.text("a.*-", min_size=1, max_size=12))
def test_a_wildcard_is_what_stands_below_it(host: str, allowed: str) -> None:
    name = host.rstrip(".")
    above = {f"*.{name.split('.', count)[count]}" for count in range(1, name.count(".") + 1)}
    callers = callers_of([], [f"*.{allowed}"], None)
    is_below = "*" in callers.hosts or not callers.hosts.isdisjoint({name or None, *above})
    assert (callers.refusal(host, []) is None) == is_below
