"""Where a server may send its clients to, and where not."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.auth._addresses import Kind, Reach, is_loopback_host, kind_of

KINDS = {
    Kind.PUBLIC: ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1",
                  "64:ff9b::101:101", "2002:101:101::1", "100.128.0.1"],
    Kind.LOOPBACK: ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
                    "2002:7f00:1::"],
    Kind.PRIVATE: ["10.0.0.1", "172.16.9.9", "172.31.255.255", "192.168.1.1", "100.64.0.1",
                   "fc00::1", "fd12::1", "fec0::1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
                   "2002:c0a8:101::"],
    Kind.LINK_LOCAL: ["169.254.169.254", "fe80::1", "febf::1", "::ffff:169.254.169.254",
                      "64:ff9b::a9fe:a9fe"],
    Kind.OTHER: ["0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
                 "192.0.2.1", "198.18.0.1", "203.0.113.5", "::", "::5", "::127.0.0.1", "ff02::1",
                 "2001:db8::1", "2001::1", "100::1", "64:ff9b:1::1", "::ffff:0.0.0.0",
                 "::ffff:0:127.0.0.1", "5f00::1"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("address", "kind"), [(each, kind) for kind, listed in KINDS.items() for each in listed]
)
def test_where_an_address_is(address: str, kind: Kind) -> None:
    assert kind_of(ip_address(address)) is kind


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_where_the_other_is(address: object) -> None:
    assert kind_of(ip_address(f"::ffff:{address}")) is kind_of(ip_address(str(address)))


@given(st.ip_addresses())
def test_what_is_public_python_calls_global_too(address: object) -> None:
    found = ip_address(str(address))
    if kind_of(found) is Kind.PUBLIC:
        assert found.is_global
        assert not found.is_multicast


@pytest.mark.parametrize(
    ("own", "allowed", "refused"),
    [
        ("1.1.1.1", ["8.8.8.8"], ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0"]),
        ("127.0.0.1", ["8.8.8.8", "::1"], ["10.0.0.1", "169.254.169.254", "0.0.0.0"]),
        ("192.168.0.9", ["8.8.8.8", "10.0.0.1"], ["127.0.0.1", "169.254.169.254"]),
        ("fe80::1", ["8.8.8.8", "169.254.169.254"], ["127.0.0.1", "10.0.0.1"]),
        ("0.0.0.0", ["8.8.8.8"], ["0.0.0.0", "127.0.0.1", "224.0.0.1"]),
    ],
)
def test_what_is_allowed(own: str, allowed: list[str], refused: list[str]) -> None:
    reach = Reach.of("https://mcp.example/mcp", [ip_address(own)])
    assert all(reach.allows(ip_address(each)) for each in allowed)
    assert not any(reach.allows(ip_address(each)) for each in refused)


PUBLIC = Reach("https://mcp.example/mcp")
LOCAL = Reach("http://localhost:9/mcp")


@pytest.mark.parametrize(
    "url", ["https://as.example", "https://as.example:8443/x?y", "https://[2606::1]/"]
)
def test_urls(url: str) -> None:
    assert PUBLIC.flaw(url) is None
    assert LOCAL.flaw(url) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:5/x", "http://[::1]/", "http://LOCALHOST:5"])
def test_http_is_for_the_loopback_only(url: str) -> None:
    assert LOCAL.flaw(url) is None
    assert PUBLIC.flaw(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "as.example",
        "/authorize",
        "https:///x",
        "http://as.example/",
        "http://127.0.0.1.as.example/",
        "http://2130706433/",
        "http://127.1/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "ftp://as.example/",
        "https://user:pw@as.example/",
        "https://@as.example/",
        "https://as.example/#x",
        "https://as.example:99999/",
        "https://[::1/",
        "https://as.example/a b",
        "https://as.example/\n",
        "https://ąs.example/",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    assert PUBLIC.flaw(url)
    assert LOCAL.flaw(url)


def test_a_flaw_of_the_url_never_raises() -> None:
    @given(st.text(max_size=50))
    def check(text: str) -> None:
        for url in (text, "https://" + text):
            assert PUBLIC.flaw(url) is None or PUBLIC.flaw(url)

    check()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("127.1", False), (None, False),
     ("localhost.example", False), ("10.0.0.1", False)],
)  # fmt: skip
def test_hosts(host: str | None, expected: bool) -> None:
    assert is_loopback_host(host) is expected
