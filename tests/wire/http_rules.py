"""The rules of Streamable HTTP for one request, as a second model, written from the specification.

A rule says when a request breaks it, and which status and error code are then due. The text does
not say in which order they are looked at, so where several are broken any of them may be told.
Nothing here comes from trimcp's code.

Specification: 2026-07-28, Streamable HTTP; 2025-11-25, Transports; RFC 9110 for what HTTP has words
for. Host names: the `Host` is looked at against DNS rebinding, with a list of names of one's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

LATEST: Final = "2026-07-28"
SESSION_REVISION: Final = "2025-11-25"

_META: Final = "io.modelcontextprotocol/"

#: Status and error code; None for a code that the specification leaves open.
Outcome = tuple[int, int | None]

LOCAL_HOSTS: Final = ("localhost:8000", "127.0.0.1:8000", "[::1]:8000")
LOCAL_ORIGINS: Final = ("http://localhost:3000", "http://127.0.0.1")


@attrs.frozen(kw_only=True)
class Asked:
    """One HTTP request, in the words of the rules. None stands for a header that is missing.

    Attributes:
        verb: The HTTP method.
        path: The target.
        session: "open", "unknown", or None.
        body: The message; None for one that is no JSON.
    """

    verb: str
    path: str
    host: str
    origin: str | None
    accept: str | None
    content_type: str | None
    version: str | None
    session: str | None
    mcp_method: str | None
    mcp_name: str | None
    body: Any

    # -- about the body -------------------------------------------------------------------

    @property
    def is_request(self) -> bool:
        return isinstance(self.body, dict) and {"id", "method"} <= self.body.keys()

    @property
    def method(self) -> str | None:
        return self.body.get("method") if isinstance(self.body, dict) else None

    @property
    def params(self) -> dict[str, Any]:
        params: dict[str, Any] = self.body.get("params", {})
        return params

    @property
    def meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = self.params.get("_meta", {})
        return meta

    @property
    def own_version(self) -> str | None:
        """The revision that the body names."""
        return self.meta.get(_META + "protocolVersion")

    @property
    def name(self) -> str | None:
        """What `Mcp-Name` has to repeat."""
        source = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
        return self.params.get(source.get(str(self.method), ""))

    @property
    def is_stateless(self) -> bool:
        """Whether a request belongs to the stateless era: by its own words, or by its header.

        A version that nobody knows can only be of that era, whose requests name theirs.
        """
        has_terms = bool(
            self.meta.keys() & {_META + "protocolVersion", _META + "clientCapabilities"}
        )
        return has_terms or self.version not in (None, SESSION_REVISION)


def _takes(accept: str | None, *wanted: str) -> bool:
    return accept in (None, "*/*") or all(each in str(accept) for each in wanted)


def broken(asked: Asked) -> Iterator[Outcome]:
    """What is due for each rule that a request breaks."""
    if asked.host not in LOCAL_HOSTS:
        yield 403, None
    if asked.origin is not None and asked.origin not in LOCAL_ORIGINS:
        yield 403, None
    if asked.path.rstrip("/") != "/mcp":
        yield 404, None
    elif asked.verb in ("GET", "DELETE"):
        yield from _broken_by_visitor(asked)
    elif asked.verb == "POST":
        yield from _broken_by_post(asked)
    else:
        yield 405, None


def _broken_by_visitor(asked: Asked) -> Iterator[Outcome]:
    """GET and DELETE are of the handshake era alone."""
    if asked.version == LATEST:
        yield 405, None
        return
    if asked.verb == "GET" and not _takes(asked.accept, "text/event-stream"):
        yield 406, None
    yield from _broken_in_session(asked)


def _broken_in_session(asked: Asked) -> Iterator[Outcome]:
    if asked.version not in (None, SESSION_REVISION):
        yield 400, None
    if asked.session is None:
        yield 400, None
    elif asked.session == "unknown":
        yield 404, None


def _broken_by_post(asked: Asked) -> Iterator[Outcome]:
    if str(asked.content_type).partition(";")[0] != "application/json":
        yield 415, None
    if not _takes(asked.accept, "application/json", "text/event-stream"):
        yield 406, None
    if asked.body is None:
        yield 400, -32700
    elif asked.is_request and asked.is_stateless:
        yield from _broken_stateless(asked)
    elif asked.version == LATEST:
        if "method" not in asked.body:
            yield 400, None
    elif asked.method != "initialize" or asked.session is not None:
        yield from _broken_in_session(asked)
        if asked.method == "initialize":
            # Lifecycle: it is the first interaction. The status is left open.
            yield 200, -32600
        if isinstance(asked.body, list):
            yield 400, None
    elif asked.version not in (None, SESSION_REVISION):
        yield 400, None


def _broken_stateless(asked: Asked) -> Iterator[Outcome]:
    versions = {asked.own_version, asked.version}
    if asked.own_version is None:
        yield 400, -32602
    if asked.version is None or asked.version != asked.own_version:
        yield 400, -32020
    if versions - {None, LATEST}:
        yield 400, -32022
    if _META + "clientCapabilities" not in asked.meta:
        yield 400, -32602
    if asked.mcp_method != asked.method:
        yield 400, -32020
    if asked.name is not None and asked.mcp_name != asked.name:
        yield 400, -32020
    if asked.method == "no/such":
        yield 404, -32601


def served(asked: Asked) -> Outcome:
    """What is due where nothing is wrong."""
    if asked.verb == "GET":
        return 200, None
    if asked.verb == "DELETE":
        return 204, None
    if not asked.is_request:
        return 202, None
    return 200, -32601 if asked.method == "no/such" else None
