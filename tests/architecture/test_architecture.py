"""The rules that keep the house liveable, read from the source.

Each table here is exact: what is not in it is not allowed, and what is in it must exist.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import trimcp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PACKAGE = Path(trimcp.__file__).parent

#: Floor of each room. Imports point down; rooms of one floor do not know each other.
FLOORS = {
    "types": 0,
    "errors": 0,
    "limits": 0,
    "_asyncio_errors": 0,
    "_similar": 0,
    "_groups": 1,
    "protocol": 1,
    "transports": 2,
    "functions": 2,
    "runtime": 3,
    "http": 4,
    "auth": 4,
    "server": 5,
    "client": 5,
    "cli": 6,
    "testing": 6,
    "": 7,  # the face
    "__main__": 7,  # `python -m trimcp`
}

#: Who opens a nursery, and what lives in it.
NURSERIES = {
    "transports._lines.open_stream_channel": "the reader and the one writer",
    "transports._memory.open_memory_channels": "a carrier for each direction",
    "transports.websocket._connection.MessageWebSocket.opened": "reader, writer, heartbeat, pongs",
    "transports._process.open_process_channel": "the reader of standard error",
    "transports._process._attend": "who reads what a child says that is to end",
    "runtime._connected.ConnectedPeer.run": "the requests of the peer",
    "server._application.Application.open": "background tasks",
    "runtime._signals.told_of_signals": "the signal receiver",
    "server._succession.LateNursery.opened": "the tasks of one session",
    "server._doors.serve_stdio": "the watch on the parent process",
    "server._accepting.serve_listeners": "connections",
    "server._expiring.run_until_expiry": "the watch on the expiry of a caller's token",
    "client._client.Client._connected": "the driver of the connection",
    "client._answers.Answerer.answer_all": "the questions of one round",
    "client._requester.Requester._answered": "the watch on the connection of who is asked",
    "client._open._memory_connector": "the server's side of the connection",
    "client._sse.SSEPeer._carry": "the POST of a call whose answer comes elsewhere",
    "client._streamable.StreamablePeer._carry": "the reader of an answer, beside the callbacks",
    "client._verbs.Verbs.stream_tool": "the call whose chunks are awaited",
    "client._listening.Listening._by_request": "the request that stays open",
    "client._listening.Listening._by_session": "the watch on the connection",
    "runtime._streams.drain": "the generator of a streaming tool",
    "http._websocket._open_channel": "the reader and the one writer",
    "http._hosting.host": "connections, the watch that ends their sends, the sweeper",
    "http._http1._connection.Http1Connection.run": "the runner, beside the reader",
    "http._stateless.RequestPeer._answer_watched": "the watch on the client of a POST",
    "http._handshake._do_watched": "the watch on the client of a stream",
    "http._legacy.StreamEndpoint.serve": "the one writer, and the watch on the client",
    "http._routes.CustomEndpoint.serve": "the watch on the client of a custom route",
    "http._serving._serve": "the watch on the supervisor",
    "http._serving._supervise": "the supervisor",
    "http._workers.Supervisor.run": "the watch on each worker",
    "auth._client_auth.ClientAuth._opened": "whatever gets tokens for one client",
    "auth._loopback.open_catcher": "the browser's connections during a login",
    "http._workers.Supervisor._end_all": "waiting for the end of each worker",
}

#: Where exceptions of handlers and connections end. Elsewhere they are let through.
BOUNDARIES = {
    "runtime._boundary.captured": "whatever a user wrote: handlers, generators, a bus",
    "runtime._boundary.attempted": "whatever a user wrote: a step of a generator",
    "runtime._boundary.answer_to": "what they returned, while it is encoded",
    "runtime._threads._Work.__call__": "what a function raised in a thread, for its caller",
    "runtime._boundary._meant": "what they raised, while it is read",
    "server._needs._needed": "a user's function that names scopes, until the route asks it again",
    "server._accepting._serve_connection": "one connection over a socket",
    "http._clients.ClientConnection.run": "one connection of an HTTP client",
    "http._running.contained": "the ASGI application, for one request",
    "http._application.HttpApplication._contained": "one HTTP request",
    "http._sessions.HttpSession.run": "one session over HTTP",
}

#: Modules that know how the wire spells things.
SPELLING = re.compile(
    r"protocol\.(_codec|_names|_converters|_degrade|_strict|_shapes|_revisions|http\._\w+)"
)

MOST_LINES = 450

#: Longer, since they document every payload, and every method of a server.
LONG = {"types", "server._server"}


class Module(NamedTuple):
    """One source file.

    Attributes:
        name: Its dotted name below `trimcp`; empty for the face.
        path: The file.
        tree: Its syntax tree.
    """

    name: str
    path: Path
    tree: ast.Module

    def __str__(self) -> str:
        return self.name or "trimcp"

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


@functools.cache
def modules() -> tuple[Module, ...]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found.append(Module(name, path, ast.parse(path.read_text(), str(path))))
    return tuple(found)


def parse(source: str, name: str = "protocol._example") -> Module:
    """A module of somebody who breaks the rules, to see that it is noticed."""
    return Module(name, PACKAGE / "example.py", ast.parse(source))


def names_of_modules() -> set[str]:
    return {module.name for module in modules()}


def breaches(rule: Callable[[Module], Iterable[str]], *, but: Iterable[str] = ()) -> list[str]:
    """Where a rule is broken, modules that may do so left out."""
    return [
        f"{module}: {each}"
        for module in modules()
        if module.name not in but
        for each in sorted(rule(module))
    ]


# -- imports ----------------------------------------------------------------------------------


def imports(module: Module) -> Iterator[str]:
    """Every module that is imported anywhere in it, our own with their full name."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            known = names_of_modules()
            for alias in node.names:
                full = f"{base}.{alias.name}"
                is_module = full.removeprefix("trimcp.") in known
                yield full if is_module else base


def absolute(module: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = ["trimcp", *module.name.split(".")]
    if not module.is_package:
        parts = parts[:-1]
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def own(module: Module) -> Iterator[str]:
    """The names, below `trimcp`, of our modules that it imports."""
    for name in imports(module):
        if name == "trimcp" or name.startswith("trimcp."):
            yield name[len("trimcp.") :]


def foreign(module: Module) -> set[str]:
    """The top-level packages of others that it imports."""
    return {name.partition(".")[0] for name in imports(module)} - {"trimcp"}


def upward(module: Module) -> list[str]:
    floor = FLOORS[module.room]
    wrong = []
    for name in own(module):
        room = name.partition(".")[0]
        same = room == module.room
        if not same and FLOORS[room] >= floor:
            wrong.append(f"imports trimcp.{name}")
    return wrong


def test_every_room_has_a_floor() -> None:
    assert {module.room for module in modules()} <= set(FLOORS)


def test_imports_point_down() -> None:
    assert breaches(upward) == []


def test_upward_imports_are_noticed() -> None:
    for source in (
        "from trimcp.runtime import Peer",
        "import trimcp.server",
        "def f():\n    from trimcp import transports",
        "from trimcp import Server",
        "from ..runtime._peer import Peer",
        "if TYPE_CHECKING:\n    from trimcp.runtime import Peer",
    ):
        assert upward(parse(source)), source
    assert upward(parse("from trimcp.client import Client", "server._x"))
    assert upward(parse("from trimcp.server import Server", "client._x"))
    assert upward(parse("def f():\n    from trimcp.server import Server", "http._x"))
    assert not upward(parse("from trimcp import types\nfrom ._names import META\nimport enum"))


def private(module: Module) -> list[str]:
    """Imports past another room's face."""
    return [
        f"imports trimcp.{name}"
        for name in own(module)
        if name.partition(".")[0] != module.room
        and any(part.startswith("_") for part in name.split(".")[1:])
    ]


def test_rooms_are_entered_by_the_door() -> None:
    assert breaches(private) == []


def test_private_imports_are_noticed() -> None:
    assert private(parse("from trimcp.protocol._codec import codec_for", "runtime._x"))


#: Who may import what of others, besides the standard library.
PACKAGES = {
    "types": {"attrs"},
    "errors": set(),
    "limits": {"attrs"},
    # Loaded where an exception group is searched for cancellations.
    "_groups": {"trio"},
    "_asyncio_errors": set(),
    "_similar": set(),
    "protocol": {"attrs", "cattrs", "msgspec"},
    "transports": {"attrs", "httpx2", "trio", "trio_websocket", "wsproto"},
    "functions": {
        "attrs",
        "docstring_parser",
        "jsonschema_rs",
        "msgspec",
        "pydantic",
        "pydantic_core",
    },
    "runtime": {"attrs", "trio", "msgspec", "cryptography"},
    "server": {"attrs", "trio", "msgspec", "typing_extensions"},
    # The last five are the parsers that hypercorn brings.
    "http": {
        "attrs",
        "trio",
        "httptools",
        "hypercorn",
        "h11",
        "h2",
        "hpack",
        "hyperframe",
        "wsproto",
    },
    # httpx2 brings httpcore2, whose connections can be judged.
    "auth": {"attrs", "trio", "msgspec", "httpx2", "httpcore2", "joserfc"},
    "client": {"attrs", "trio", "msgspec"},
    "cli": {"attrs", "ruamel", "trio", "watchfiles", "wcwidth"},
    "testing": {"attrs", "trio", "pytest"},
    "": set(),
    "__main__": set(),
}


def strangers(module: Module) -> set[str]:
    return foreign(module) - set(sys.stdlib_module_names) - PACKAGES[module.room]


def test_packages_of_others() -> None:
    assert breaches(strangers) == []
    assert breaches(lambda module: foreign(module) & {"asyncio", "anyio"}) == []


def test_strangers_are_noticed() -> None:
    assert strangers(parse("import trio")) == {"trio"}
    assert strangers(parse("import anyio", "transports._x")) == {"anyio"}
    assert strangers(parse("def f():\n    from pydantic import Field", "server._x")) == {"pydantic"}
    assert not strangers(parse("from pydantic import Field", "functions._x"))
    assert "asyncio" in foreign(parse("import asyncio.subprocess"))


def test_every_package_is_used() -> None:
    for room, allowed in PACKAGES.items():
        used = set().union(*(foreign(module) for module in modules() if module.room == room))
        assert allowed <= used, (room, allowed - used)


# -- who never waits --------------------------------------------------------------------------

WAITING = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)


def waits(module: Module) -> bool:
    return any(isinstance(node, WAITING) for node in ast.walk(module.tree))


def impatient(module: Module) -> set[str]:
    found = foreign(module) & {"time", "datetime", "threading", "socket", "select", "signal"}
    return found | ({"waits"} if waits(module) else set())


def test_words_protocol_and_functions_never_wait_or_look_at_the_clock() -> None:
    waiting = {
        module.name
        for module in modules()
        if FLOORS[module.room] > 1 and module.room != "functions"
    }
    assert breaches(impatient, but=waiting) == []


def test_waiting_is_noticed() -> None:
    assert waits(parse("async def f(): pass"))
    assert not waits(parse("def f(): pass"))


# -- nurseries and boundaries -----------------------------------------------------------------


def functions(module: Module) -> Iterator[tuple[str, ast.AST]]:
    """Each node with the qualified name of the function it stands in."""

    def walk(node: ast.AST, inside: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            name = inside
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{inside}.{child.name}"
            yield name, child
            yield from walk(child, name)

    yield from walk(module.tree, module.name)


def openers(module: Module) -> set[str]:
    return {
        name
        for name, node in functions(module)
        if (isinstance(node, ast.Attribute) and node.attr == "open_nursery")
        or (isinstance(node, ast.Name) and node.id == "open_nursery")
    }


def test_who_opens_a_nursery() -> None:
    found = set().union(*(openers(module) for module in modules()))
    shipped = {name for name in found if not name.startswith(("testing.", "cli."))}
    assert shipped == set(NURSERIES)


def catchers(module: Module) -> set[str]:
    groups = {name for name, node in functions(module) if isinstance(node, ast.TryStar)}
    return groups | swallowers(module)


def test_where_exceptions_end() -> None:
    assert set().union(*(catchers(module) for module in modules())) == set(BOUNDARIES)


def swallowers(module: Module) -> set[str]:
    """Handlers that would catch `trio.Cancelled` and do not raise it again."""
    return {
        name
        for name, node in functions(module)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or "BaseException" in ast.dump(node.type).replace("Group", ""))
        and "BaseExceptionGroup" not in ast.dump(node.type or node)
        and not any(isinstance(each, ast.Raise) for each in ast.walk(node))
    }


def test_cancellation_is_never_swallowed() -> None:
    assert breaches(lambda module: swallowers(module) - set(BOUNDARIES)) == []


#: Shields without a deadline of their own, and what ends them.
ENDLESS_SHIELDS = {
    "runtime._signals.told_of_signals": "the block around which it watches cancels it",
    "http._workers.Supervisor.__init__": "its deadline is set when the workers are told to end",
}


def endless_shields(module: Module) -> set[str]:
    """Functions that shield something from cancellation and give it no deadline."""
    made: set[str] = set()
    assigned: dict[str, set[str]] = {"shield": set(), "deadline": set()}
    for name, node in functions(module):
        if isinstance(node, ast.Call):
            words = {word.arg: word.value for word in node.keywords}
            ends = [words[each] for each in ("deadline", "relative_deadline") if each in words]
            if getattr(node.func, "attr", "") in ("move_on_after", "move_on_at"):
                ends += node.args[:1]
            if "shield" in words and not any("inf" not in ast.unparse(each) for each in ends):
                made.add(name)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr in assigned:
                    assigned[target.attr].add(name)
    return made | assigned["shield"] - assigned["deadline"]


def test_every_shield_has_a_deadline() -> None:
    assert set().union(*(endless_shields(module) for module in modules())) == set(ENDLESS_SHIELDS)


def test_nurseries_and_boundaries_are_noticed() -> None:
    source = "class A:\n  async def f(self):\n    async with trio.open_nursery() as n: pass"
    assert openers(parse(source)) == {"protocol._example.A.f"}
    for source in ("CancelScope(shield=True)", "CancelScope(shield=True, deadline=math.inf)"):
        assert endless_shields(parse(f"def f(): {source}")) == {"protocol._example.f"}
    assert endless_shields(parse("def f(s): s.shield = True")) == {"protocol._example.f"}
    assert not endless_shields(parse("def f(): CancelScope(shield=True, relative_deadline=1)"))
    source = "def f():\n  try: pass\n  except* ValueError: pass"
    assert catchers(parse(source)) == {"protocol._example.f"}
    assert swallowers(parse("def f():\n  try: pass\n  except BaseException: pass"))
    assert swallowers(parse("def f():\n  try: pass\n  except: pass"))
    assert not swallowers(parse("def f():\n  try: pass\n  except BaseException: raise"))
    assert not swallowers(parse("def f():\n  try: pass\n  except Exception: pass"))


# -- who knows revisions and spellings --------------------------------------------------------

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
CAMEL = re.compile(r"[a-z]+[A-Z][A-Za-z]*")

#: Not the protocol's words but JSON Schema's.
JSON_SCHEMA = {"anyOf", "allOf", "oneOf", "additionalProperties"}


def docstrings(module: Module) -> set[int]:
    """The ids of constants that are docstrings, or stand alone below what they describe."""
    return {
        id(node.value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def dates(module: Module) -> set[str]:
    prose = docstrings(module)
    return {
        node.value
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in prose
        and DATE.fullmatch(node.value)
    }


def test_revisions_are_named_in_one_place() -> None:
    assert breaches(dates, but={"protocol._revisions"}) == []
    assert breaches(dates) != []


def spellings(module: Module) -> set[str]:
    """Wire names that are used as keys: of dictionaries, in subscripts, in msgspec fields."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Dict):
            found |= texts(*node.keys)
        elif isinstance(node, ast.Subscript):
            found |= texts(node.slice)
        elif isinstance(node, ast.Call):
            found |= texts(*(word.value for word in node.keywords if word.arg == "name"))
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop"):
                found |= texts(*node.args[:1])
        elif isinstance(node, ast.Compare):
            found |= texts(node.left)
    return {text for text in found if CAMEL.fullmatch(text)} - JSON_SCHEMA


def texts(*nodes: ast.expr | None) -> set[str]:
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_the_wire_is_spelt_in_one_place() -> None:
    spellers = {module.name for module in modules() if SPELLING.fullmatch(module.name)}
    # The command line's own JSON documents borrow the wire's names.
    documents = {"cli._inspect", "cli._list", "cli._listing"}
    assert breaches(spellings, but=spellers | documents) == [
        "errors: requiredCapabilities",  # the data of an error, on the floor below
    ]


def test_dates_and_spellings_are_noticed() -> None:
    assert dates(parse('"""2025-11-25"""\nx = "2026-07-28"')) == {"2026-07-28"}
    for source in (
        'x = {"inputSchema": 1}',
        'x["inputSchema"]',
        'x.get("inputSchema")',
        'field(name="inputSchema")',
        '"inputSchema" in x',
    ):
        assert spellings(parse(source)) == {"inputSchema"}, source
    assert spellings(parse('x = ["inputSchema", {"name": 1}]')) == set()


# -- size -------------------------------------------------------------------------------------


def test_no_module_is_too_long() -> None:
    lengths = {module.name: len(module.path.read_text().splitlines()) for module in modules()}
    assert {name for name, length in lengths.items() if length > MOST_LINES} == LONG


#: The functions of the face: they load what is used.
FACE_FUNCTIONS = ["__getattr__", "__dir__"]

#: What the face assigns besides the two that every face may have.
FACE_TABLES = {"TYPE_CHECKING", "_HOMES", "_MODULES"}


def face() -> Module:
    return next(module for module in modules() if not module.name)


def test_the_face_has_no_code() -> None:
    """Nothing but names, where they are defined, and the two functions that load them."""
    allowed = (ast.Expr, ast.Assign, ast.If)
    for_checkers, for_python = (node for node in face().tree.body if isinstance(node, ast.If))
    for node in face().tree.body:
        assert isinstance(node, allowed)
        if isinstance(node, ast.Assign):
            assert ast.unparse(node.targets[0]) in {"__all__", "__version__"} | FACE_TABLES
            ast.literal_eval(node.value)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)
    assert ast.unparse(for_checkers.test) == "TYPE_CHECKING"
    assert all(isinstance(node, ast.ImportFrom) for node in for_checkers.body)
    assert ast.unparse(for_python.test) == "not TYPE_CHECKING"
    assert [getattr(node, "name", "") for node in for_python.body] == FACE_FUNCTIONS
    assert for_checkers.orelse == for_python.orelse == []


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert trimcp.__version__ == project["version"]


def test_the_face_loads_what_type_checkers_see() -> None:
    seen = {
        alias.name: node.module
        for node in ast.walk(face().tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if node.module != "importlib"
    }
    assert vars(trimcp)["_HOMES"] == seen
    for name, home in seen.items():
        assert getattr(trimcp, name) is getattr(sys.modules[f"{home}"], name)
        assert name in dir(trimcp)
    for name in vars(trimcp)["_MODULES"]:
        assert getattr(trimcp, name) is sys.modules[f"trimcp.{name}"]
        assert name in dir(trimcp)
    for name in ("nothing", "cli_", "__wrapped__"):
        assert not hasattr(trimcp, name)


def test_faces_say_what_they_show() -> None:
    """`__all__` of a room's face holds what it imports, in order."""
    for module in modules():
        if not module.is_package or module.room in ("cli",):
            continue
        body = module.tree.body
        if not module.name:
            (body,) = (node.body for node in body if ast.unparse(node).startswith("if TYPE_C"))
        shown = {
            alias.asname or alias.name
            for node in body
            if isinstance(node, ast.ImportFrom) and node.module != "__future__"
            for alias in node.names
        }
        (listed,) = (
            ast.literal_eval(node.value)
            for node in module.tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        )
        assert set(listed) == shown, module.name


# -- what an import costs ---------------------------------------------------------------------

LAZY = [
    "httptools",
    "hypercorn",
    "wsproto",
    "trio_websocket",
    "httpx2",
    "trimcp.cli",
    "trimcp.testing",
    "cryptography",
    "docstring_parser",
    "pytest",
    "anyio",
    "asyncio",
]


def loaded(code: str) -> set[str]:
    """The modules that a program has loaded in the end; what it prints is not looked at."""
    code = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write(chr(10).join(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())


def test_import_is_light() -> None:
    """What only some programs use is loaded by those that use it."""
    assert (
        loaded("import trimcp; [getattr(trimcp, each) for each in trimcp.__all__]") & {*LAZY}
        == set()
    )


def test_import_of_the_face_loads_nothing_else() -> None:
    assert {name for name in loaded("import trimcp") if name.startswith("trimcp.")} == set()


def test_a_role_does_not_load_the_other() -> None:
    assert "trimcp.client" not in loaded("from trimcp import Server")
    assert "trimcp.server" not in loaded("from trimcp import open_client")


#: The most modules that help may load, of the standard library nearly all, beside those of a bare
#: interpreter.
MOST_MODULES = 80


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_of_the_command_is_light(option: str) -> None:
    """Neither role, and none of the packages that they need."""
    found = loaded(f"from trimcp.cli import main; main(['{option}'])")
    packages = set().union(*PACKAGES.values()) | {"pydantic"}
    assert {name for name in found if name.partition(".")[0] in packages} == set()
    assert {name.split(".")[1] for name in found if name.startswith("trimcp.")} <= {
        "cli",
        "_groups",
    }
    assert len(found - loaded("pass")) <= MOST_MODULES
