"""The grammar of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trimcp.cli._arguments import parse
from trimcp.cli._call import Calling
from trimcp.cli._inspect import Inspecting
from trimcp.cli._list import Listing
from trimcp.cli._listen import Listening
from trimcp.cli._options import Argument
from trimcp.cli._prompt import Prompting
from trimcp.cli._read import Reading
from trimcp.cli._run import Running

if TYPE_CHECKING:
    from trimcp.cli._options import Command

DEFAULTS: dict[str, Any] = {
    "timeout": 60.0,
    "revision": None,
    "headers": [],
    "token_env": None,
    "output": None,
    "verbosity": 0,
}
UNANSWERED: dict[str, Any] = {**DEFAULTS, "answers": [], "sample": None, "roots": []}


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("run a.py", Running(file="a.py", tcp=None, unix=None, verbosity=0)),
        ("run --stdio a.py:app", Running(file="a.py:app", tcp=None, unix=None, verbosity=0)),
        (
            "run a.py --tcp [::1]:80 -vv",
            Running(file="a.py", tcp=("::1", 80), unix=None, verbosity=2),
        ),
        ("run --unix s a.py", Running(file="a.py", tcp=None, unix="s", verbosity=0)),
        (
            "run a.py --ws localhost:0",
            Running(file="a.py", tcp=None, unix=None, ws=("localhost", 0), verbosity=0),
        ),
        ("list a.py", Listing(target="a.py", **DEFAULTS)),
        ("list -- server --port 1", Listing(target=["server", "--port", "1"], **DEFAULTS)),
        (
            "list --timeout 1.5 unix:s --output text --revision 2025-11-25 -v",
            Listing(
                target="unix:s",
                timeout=1.5,
                revision="2025-11-25",
                headers=[],
                token_env=None,
                output="text",
                verbosity=1,
            ),
        ),
        (
            "list https://x --header A:b --header C:d:e --token-env F",
            Listing(
                target="https://x",
                **{**DEFAULTS, "headers": [("A", "b"), ("C", "d:e")], "token_env": "F"},
            ),
        ),
        ("inspect a.py", Inspecting(target="a.py", **DEFAULTS)),
        ("inspect -- server", Inspecting(target=["server"], **DEFAULTS)),
        ("read a.py x://y=1", Reading(target="a.py", uri="x://y=1", **UNANSWERED)),
        ("read x://y -- server", Reading(target=["server"], uri="x://y", **UNANSWERED)),
        (
            "read a.py x://y --output raw",
            Reading(target="a.py", uri="x://y", **{**UNANSWERED, "output": "raw"}),
        ),
        (
            "prompt a.py greet a=1 b=c=d",
            Prompting(
                target="a.py", prompt="greet", arguments={"a": "1", "b": "c=d"}, **UNANSWERED
            ),
        ),
        (
            "prompt greet a=1 -- server b=2",
            Prompting(target=["server", "b=2"], prompt="greet", arguments={"a": "1"}, **UNANSWERED),
        ),
        ("listen a.py", Listening(target="a.py", uris=[], lists=True, count=None, **DEFAULTS)),
        (
            "listen --count 3 a.py x://1 x://2",
            Listening(target="a.py", uris=["x://1", "x://2"], lists=False, count=3, **DEFAULTS),
        ),
        (
            "listen x://1 --lists -- server",
            Listening(target=["server"], uris=["x://1"], lists=True, count=None, **DEFAULTS),
        ),
    ],
)
def test_words_become_options(words: str, options: Command) -> None:
    assert parse(words.split()) == options


@pytest.mark.parametrize("words", ["8000", ":8000", "127.0.0.1:8000"])
@pytest.mark.parametrize("option", ["http", "ws", "tcp"])
def test_a_port_alone_is_one_of_this_machine(option: str, words: str) -> None:
    options: Any = parse(["run", f"--{option}", words, "a.py"])
    assert getattr(options, option) == ("127.0.0.1", 8000)


def calling(target: str | list[str], *arguments: Argument) -> Calling:
    return Calling(target=target, tool="add", arguments=list(arguments), json={}, **UNANSWERED)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["a.py", "add"], calling("a.py")),
        (["a.py", "add", "a=1"], calling("a.py", Argument("a", "1", False))),
        (["a.py", "add", "a=b=c"], calling("a.py", Argument("a", "b=c", False))),
        (["a.py", "add", "a="], calling("a.py", Argument("a", "", False))),
        (["a.py", "add", "a=-1"], calling("a.py", Argument("a", "-1", False))),
        (["a.py", "add", "a:=[1]"], calling("a.py", Argument("a", "[1]", True))),
        (["a.py", "add", "a=:=x"], calling("a.py", Argument("a", ":=x", False))),
        (["add", "--", "server"], calling(["server"])),
        (["add", "--", "env", "--", "x"], calling(["env", "--", "x"])),
        (
            ["add", "a=1", "--", "server", "b=2", "-v"],
            calling(["server", "b=2", "-v"], Argument("a", "1", False)),
        ),
    ],
)
def test_calls(words: list[str], options: Calling) -> None:
    assert parse(["call", *words]) == options


def test_options_of_a_call_may_stand_anywhere_before_the_command() -> None:
    words = ["--timeout", "5", "a.py", "-v", "add", "a=1", "--json", '{"c": 3}', "b=2"]
    options = parse(["call", *words])
    assert isinstance(options, Calling)
    assert (options.target, options.tool) == ("a.py", "add")
    assert options.arguments == [Argument("a", "1", False), Argument("b", "2", False)]
    assert (options.json, options.timeout, options.verbosity) == ({"c": 3}, 5.0, 1)


@pytest.mark.parametrize(
    "words", [["call", "a.py", "add"], ["read", "a.py", "x://"], ["prompt", "a.py", "greet"]]
)
def test_answers(words: list[str]) -> None:
    options: Any = parse(
        [
            *words,
            "--answer",
            "a=1",
            "--answer",
            "b:=[2]",
            "--sample",
            "",
            "--root",
            ".",
            "--root",
            "file:///x",
        ]
    )
    assert options.answers == [Argument("a", "1", False), Argument("b", "[2]", True)]
    assert (options.sample, options.roots) == ("", [".", "file:///x"])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "COMMAND"),
        (["serve"], "invalid choice: 'serve'"),
        (["run"], "give one FILE or FILE:OBJECT"),
        (["run", "a.py", "b.py"], "give one FILE or FILE:OBJECT"),
        (["run", "--", "python"], "not a command after --"),
        (["run", "--tcp", "localhost", "a.py"], "not HOST:PORT: 'localhost'"),
        (["run", "--tcp", ":", "a.py"], "not HOST:PORT: ':'"),
        (["run", "--http", "/80", "a.py"], "not HOST:PORT: '/80'"),
        (["run", "--http", "²", "a.py"], "not HOST:PORT: '²'"),
        (["run", "--tcp", "h:99999", "a.py"], "not HOST:PORT: 'h:99999'"),
        (["run", "--tcp", "h:1", "--unix", "s", "a.py"], "not allowed with argument --tcp"),
        (["run", "--tcp", "h:1", "--ws", "h:2", "a.py"], "not allowed with argument --tcp"),
        (["run", "--ws", "ws://h:2", "a.py"], "not HOST:PORT: 'ws://h:2'"),
        (["run", "--output", "json", "a.py"], "unknown option: --output"),
        (["list"], "name the server"),
        (["list", "--"], "a command is missing after --"),
        (["list", "a.py", "b.py"], "'b.py'"),
        (["list", "a.py", "--bogus"], "unknown option: --bogus"),
        (["list", "a.py", "--outptu=json"], "unknown option: --outptu; did you mean '--output'?"),
        (["cal", "a.py"], "; did you mean 'call'?"),
        (["list", "--output", "jsno", "a.py"], "; did you mean 'json'?"),
        (["list", "--timeout", "0", "a.py"], "not a number of seconds above zero: '0'"),
        (["list", "--timeout", "nan", "a.py"], "not a number of seconds above zero: 'nan'"),
        (["list", "--timeout", "soon", "a.py"], "not a number of seconds above zero: 'soon'"),
        (["list", "--output", "xml", "a.py"], "invalid choice: 'xml'"),
        (["call"], "name the server"),
        (["call", "a.py"], "name the TOOL to call"),
        (["call", "--", "server"], "name the TOOL to call"),
        (["call", "a.py", "add", "five"], "not KEY=VALUE or KEY:=JSON: 'five'"),
        (["call", "a.py", "add", "=5"], "not KEY=VALUE or KEY:=JSON: '=5'"),
        (["call", "a.py", "add", ":=5"], "not KEY=VALUE or KEY:=JSON: ':=5'"),
        (["call", "a.py", "add", "--json", "{"], "not JSON"),
        (["call", "a.py", "add", "--json", "[1]"], "not a JSON object"),
        (["call", "a.py", "add", "--answer", "five"], "not KEY=VALUE or KEY:=JSON: 'five'"),
        (["call", "a.py", "add", "--root", "http://x"], "not a path or a file:// URI: 'http://x'"),
        (["call", "a.py", "add", "--output", "raw"], "invalid choice: 'raw'"),
        (["list", "a.py", "--sample", "x"], "unknown option: --sample"),
        (["inspect"], "name the server"),
        (["inspect", "a.py", "b.py"], "inspect takes nothing more than the server: 'b.py'"),
        (["read", "a.py"], "give the URI to read"),
        (["read", "a.py", "x://1", "x://2"], "read takes one URI: 'x://2'"),
        (["prompt", "a.py"], "give the NAME of the prompt"),
        (["prompt", "a.py", "greet", "name"], "not KEY=VALUE"),
        (["prompt", "a.py", "greet", "n:=1"], "the arguments of a prompt are text"),
        (["listen"], "name the server"),
        (["listen", "a.py", "--count", "0"], "not a number above zero: '0'"),
        (["listen", "a.py", "--count", "-1"], "not a number above zero: '-1'"),
        (["listen", "a.py", "--sample", "x"], "unknown option: --sample"),
    ],
)
def test_words_that_make_no_sense_end_with_status_2(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 2
    first, *usage = capsys.readouterr().err.splitlines()
    assert first.startswith("trimcp: ")
    assert complaint in first
    assert usage[0].startswith("usage: trimcp")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "-h"],
        ["list", "-h"],
        ["call", "-h"],
        ["inspect", "-h"],
        ["read", "-h"],
        ["prompt", "-h"],
        ["listen", "-h"],
    ],
)
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: trimcp")
