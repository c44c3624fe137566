"""The programs into whose settings `trimcp install` writes, and the form that each one reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from ._errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._host_places import Machine

__all__ = ["HOSTS", "Host", "Local", "Remote", "find_host"]

Format: TypeAlias = Literal["json", "yaml"]


@attrs.frozen
class Local:
    """A server that the host starts.

    Attributes:
        name: Its name in the host.
        command: The program, with an absolute path.
        args: Its arguments.
        env: Variables added to its environment.
    """

    name: str
    command: str
    args: list[str]
    env: dict[str, str]


@attrs.frozen
class Remote:
    """A server at a URL.

    Attributes:
        name: Its name in the host.
        url: Where it is.
        token_variable: The variable of the host's environment that has an access token, or None.
    """

    name: str
    url: str
    token_variable: str | None


@attrs.frozen(kw_only=True)
class Host:
    """A program that uses servers.

    Attributes:
        word: Its name on the command line.
        title: Its name for people.
        files: The files with a user's settings. Names may have `*`; the files that exist count.
        project_file: The file below a project's directory, or None.
        section: The key below which the servers stand.
        format: The language of the file.
        comments: Whether the program reads a file with comments.
        trailing_commas: The same for a comma after the last member.
        byte_order_mark: The same for a byte order mark.
        local: The entry of a server that the host starts.
        remote: The entry of a server at a URL; raises CommandError where there can be none.
        inputs: The key below which stands what the program asks the user for, such as a token; None
            if it reads tokens from its environment.
        next_step: What the user has to do to see the server.
    """

    word: str
    title: str
    files: Callable[[Machine], list[str]]
    project_file: str | None
    section: str
    format: Format = "json"
    comments: bool = True
    trailing_commas: bool = True
    byte_order_mark: bool = True
    local: Callable[[Local], dict[str, Any]]
    remote: Callable[[Remote], dict[str, Any]]
    inputs: str | None = None
    next_step: str


# -- entries ----------------------------------------------------------------------------------


def _plain(server: Local) -> dict[str, Any]:
    entry: dict[str, Any] = {"command": server.command, "args": server.args}
    return {**entry, "env": server.env} if server.env else entry


def _typed(server: Local) -> dict[str, Any]:
    return {"type": "stdio", **_plain(server)}


def _extension(server: Local) -> dict[str, Any]:
    return {
        "enabled": True,
        "type": "stdio",
        "name": server.name,
        "description": "",
        "cmd": server.command,
        "args": server.args,
        "envs": server.env,
        "env_keys": [],
        "timeout": _GOOSE_SECONDS,
    }


def _remote_extension(server: Remote) -> dict[str, Any]:
    variable = server.token_variable
    return {
        "enabled": True,
        "type": "streamable_http",
        "name": server.name,
        "description": "",
        "uri": server.url,
        "envs": {},
        # Goose reads these from its environment, or asks for them once and keeps them in a keyring.
        "env_keys": [variable] if variable else [],
        "headers": _headers(f"${{{variable}}}") if variable else {},
        "timeout": _GOOSE_SECONDS,
    }


def _at_url(key: str, reference: str, **more: str) -> Callable[[Remote], dict[str, Any]]:
    """The entry of a remote server.

    Args:
        key: The name of the member that has the URL.
        reference: How the host writes the value of the variable `VARIABLE`.
        more: Further members.
    """

    def entry(server: Remote) -> dict[str, Any]:
        made: dict[str, Any] = {**more, key: server.url}
        if server.token_variable:
            made["headers"] = _headers(reference.replace("VARIABLE", server.token_variable))
        return made

    return entry


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _without_token(server: Remote) -> dict[str, Any]:
    if server.token_variable:
        raise CommandError(
            "a bare mcp.json has no form for the token that all programs read: write the header as "
            "your program wants it"
        )
    return {"type": "http", "url": server.url}


def _no_remote(server: Remote) -> dict[str, Any]:
    raise CommandError(
        "Claude Desktop does not read remote servers from its file: add "
        f"{server.url} under Settings, Connectors, Add custom connector"
    )


#: Seconds that Goose waits for a call.
_GOOSE_SECONDS: Final = 300


# -- files ------------------------------------------------------------------------------------


def _claude_desktop(machine: Machine) -> list[str]:
    usual = machine.settings("Claude", "claude_desktop_config.json")
    if not machine.is_windows:
        return [usual]
    # The packaged application, which is what the installer installs, reads its own folder only.
    local = machine.below("LOCALAPPDATA", "AppData", "Local")
    package = machine.join(local, "Packages", "Claude_*", "LocalCache", "Roaming", "Claude")
    return [usual, machine.join(package, "claude_desktop_config.json")]


def _goose(machine: Machine) -> list[str]:
    if machine.is_windows:
        return [machine.join(machine.app_data, "Block", "goose", "config", "config.yaml")]
    return [machine.join(machine.config, "goose", "config.yaml")]


_RESTART: Final = "quit it, also from the tray, and start it again"

HOSTS: Final = {
    host.word: host
    for host in (
        Host(
            word="claude-desktop",
            title="Claude Desktop",
            files=_claude_desktop,
            project_file=None,
            section="mcpServers",
            comments=False,
            trailing_commas=False,
            local=_plain,
            remote=_no_remote,
            next_step=f"{_RESTART}; the server stands under Settings, Developer",
        ),
        Host(
            word="claude-code",
            title="Claude Code",
            files=lambda machine: [
                machine.join(machine.below("CLAUDE_CONFIG_DIR"), ".claude.json")
            ],
            project_file=".mcp.json",
            section="mcpServers",
            # It takes a file with a comment for a broken one, and begins with an empty one.
            comments=False,
            trailing_commas=False,
            local=_typed,
            remote=_at_url("url", "${VARIABLE}", type="http"),
            next_step="`claude mcp list` says Connected; a project's servers are approved in "
            "`claude` first",
        ),
        Host(
            word="cursor",
            title="Cursor",
            files=lambda machine: [machine.at_home(".cursor", "mcp.json")],
            project_file=".cursor/mcp.json",
            section="mcpServers",
            local=_plain,
            remote=_at_url("url", "${env:VARIABLE}"),
            next_step="the server stands under Settings, MCP",
        ),
        Host(
            word="vscode",
            title="VS Code",
            files=lambda machine: [machine.settings("Code", "User", "mcp.json")],
            project_file=".vscode/mcp.json",
            section="servers",
            local=_typed,
            # In headers it puts in what it has asked the user for, not what the environment has.
            remote=_at_url("url", "${input:VARIABLE}", type="http"),
            inputs="inputs",
            next_step="`MCP: List Servers` in the command palette shows the server and starts it",
        ),
        Host(
            word="gemini",
            title="Gemini CLI",
            files=lambda machine: [machine.at_home(".gemini", "settings.json")],
            project_file=".gemini/settings.json",
            section="mcpServers",
            trailing_commas=False,
            byte_order_mark=False,
            local=_plain,
            remote=_at_url("httpUrl", "${VARIABLE}"),
            next_step="`gemini mcp list` says Connected; it shows all servers as disabled in a "
            "folder that is not trusted",
        ),
        Host(
            word="windsurf",
            title="Windsurf",
            files=lambda machine: [machine.at_home(".codeium", "windsurf", "mcp_config.json")],
            project_file=None,
            section="mcpServers",
            local=_plain,
            remote=_at_url("serverUrl", "${env:VARIABLE}"),
            next_step="the server stands under Settings, Cascade, MCP servers",
        ),
        Host(
            word="goose",
            title="Goose",
            files=_goose,
            project_file=None,
            section="extensions",
            format="yaml",
            local=_extension,
            remote=_remote_extension,
            next_step="`goose session` starts the server; `goose configure` lists it",
        ),
        Host(
            word="mcp.json",
            title="mcp.json",
            files=lambda machine: ["mcp.json"],
            project_file="mcp.json",
            section="mcpServers",
            local=_plain,
            remote=_without_token,
            next_step="give the file to your program",
        ),
    )
}


def find_host(word: str) -> Host:
    """The host of a name. Raises ValueError, which lists all."""
    found = HOSTS.get(word.lower())
    if found is None:
        raise ValueError(f"unknown host {word!r}: use one of {', '.join(HOSTS)}")
    return found
