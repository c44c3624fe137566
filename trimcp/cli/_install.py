"""`trimcp install`: put a server into the settings of a program that uses servers."""

from __future__ import annotations

import glob
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from ._errors import CommandError, UsageError
from ._host_files import HostFile
from ._host_places import Machine
from ._hosts import HOSTS, Host, Local, Remote, find_host
from ._launching import launch_command
from ._loading import split_object
from ._logging import log_as_tool
from ._options import Command

if TYPE_CHECKING:
    import argparse

__all__ = ["Installing"]

#: Seconds for the first start of the server; uv may have to download packages first.
_PATIENCE: Final = 120.0

#: What a name may be made of, in all hosts.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@attrs.frozen(kw_only=True)
class Installing(Command):
    """`trimcp install`.

    Attributes:
        host: The program.
        server: `FILE`, `FILE:OBJECT` or a URL, as given; None to remove a server by its name.
        name: The server's name in the host; None for its own.
        env: Variables for the server.
        packages: Further packages that it needs, for uv.
        python: The Python that shall run it, for uv.
        token_env: The variable with an access token for the server at the URL.
        project: The directory of a project, to use its settings and not the user's.
        config: The file to change, if it is not where the host usually has it.
        check: Whether the server is started first, to see that it works.
        dry_run: Whether the change is only shown.
        uninstall: Whether the server is removed.
        verbosity: How many `-v` were given.
    """

    host: Host
    server: str | None
    name: str | None
    env: dict[str, str]
    packages: tuple[str, ...]
    python: str | None
    token_env: str | None
    project: str | None
    config: str | None
    check: bool
    dry_run: bool
    uninstall: bool
    verbosity: int

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = (
            "trimcp install [options] HOST FILE[:OBJECT] | URL\n"
            "       trimcp install --uninstall [options] HOST [FILE[:OBJECT] | URL]"
        )
        parser.description = (
            "Put a server into the settings of HOST, a program that uses servers. The rest of the\n"
            "settings stays as it is, and a copy of the file is kept beside it (.trimcp.bak)."
        )
        parser.epilog = "HOST is one of:\n" + "".join(
            f"  {host.word:<16}{host.title}\n" for host in HOSTS.values()
        )
        parser.add_argument("--name", help="the server's name in HOST; its own by default")
        parser.add_argument(
            "--env",
            action="append",
            default=[],
            metavar="KEY[=VALUE]",
            help="give the server this variable of the environment; without a value, the one that "
            "it has now, which may be a secret; may be repeated",
        )
        parser.add_argument(
            "--with",
            dest="packages",
            action="append",
            default=[],
            metavar="PACKAGE",
            help="run the server through uv, with this package; may be repeated",
        )
        parser.add_argument(
            "--python",
            metavar="VERSION",
            help="run the server through uv, with this version or path of Python",
        )
        parser.add_argument(
            "--token-env",
            metavar="VAR",
            help="with a URL: the variable of HOST's environment that has the access token; "
            "VS Code asks for the token instead",
        )
        parser.add_argument(
            "--project", metavar="DIR", help="use the settings of the project in this directory"
        )
        parser.add_argument("--config", metavar="FILE", help="use this file of HOST's settings")
        parser.add_argument(
            "--no-check", action="store_true", help="do not start the server to see that it works"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show the change, and change nothing"
        )
        parser.add_argument(
            "--uninstall", action="store_true", help="remove the server from HOST's settings"
        )

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Installing:
        if command is not None:
            raise ValueError("install takes a Python file or a URL, not a command after --")
        words = list(found.words)
        if not words:
            raise ValueError(f"give HOST and FILE; HOST is one of {', '.join(HOSTS)}")
        host = find_host(words[0])
        wants = "the name of a server with --name, or its FILE" if found.uninstall else "one FILE"
        if len(words) > 2 or (len(words) < 2 and not (found.uninstall and found.name)):
            raise ValueError(f"give HOST and {wants}[:OBJECT] or URL")
        server = words[1] if len(words) == 2 else None
        if found.name is not None and not _NAME.fullmatch(found.name):
            raise ValueError(
                f"not a name: {found.name!r}; it consists of ASCII letters, digits, _ and -"
            )
        is_url = server is not None and "://" in server
        if is_url and (found.env or found.packages or found.python):
            raise ValueError("--env, --with and --python are for a FILE, not for a URL")
        if found.token_env is not None:
            if not is_url:
                raise ValueError("--token-env is for a URL")
            if not _VARIABLE.fullmatch(found.token_env):
                # It may be the token itself.
                raise ValueError("--token-env takes the name of a variable")
        if found.project is not None and found.config is not None:
            raise ValueError("--project and --config are different ways to say which file")
        return cls(
            host=host,
            server=server,
            name=found.name,
            env=dict(_variable(word) for word in found.env),
            packages=tuple(found.packages),
            python=found.python,
            token_env=found.token_env,
            project=found.project,
            config=found.config,
            check=not found.no_check,
            dry_run=found.dry_run,
            uninstall=found.uninstall,
            verbosity=found.verbosity + found.verbosity_before,
        )

    def run(self) -> int:
        """Change the settings.

        Raises:
            CommandError: They cannot be read or changed, or the server does not start.
        """
        log_as_tool(self.verbosity)
        paths = self._paths()
        if self.uninstall:
            return self._uninstall([HostFile.read(self.host, path) for path in paths])
        # A malformed file is refused before the server is started.
        files = [HostFile.read(self.host, path) for path in paths]
        name, entry, asked = self._entry()
        for file in files:
            old = file.entries().get(name)
            if old is not None and not _is_same(old, entry):
                raise CommandError(
                    f"{file.path} already has another server {name!r}: choose a name with --name, "
                    f"or remove that one with `trimcp install {self.host.word} --uninstall "
                    f"--name {name}`"
                )
            file.add(name, entry, asked)
        self._finish(files, f"installed {name!r}")
        return 0

    def _uninstall(self, files: list[HostFile]) -> int:
        removed = set()
        for file in files:
            for name in self._names_in(file):
                file.remove(name)
                removed.add(name)
        if not removed:
            places = " and ".join(file.path for file in files)
            raise CommandError(f"there is no such server in {places}")
        self._finish(files, f"removed {', '.join(map(repr, sorted(removed)))}")
        return 0

    def _names_in(self, file: HostFile) -> list[str]:
        """The names of the servers that are meant."""
        entries = file.entries()
        if self.name is not None:
            return [self.name] if self.name in entries else []
        assert self.server is not None
        wanted = self.server if "://" in self.server else _absolute(self.server)
        return [name for name, entry in entries.items() if _runs(entry, wanted)]

    # -- where --------------------------------------------------------------------------------

    def _paths(self) -> list[str]:
        """The files to change. Raises CommandError."""
        if self.config is not None:
            return [self.config]
        if self.project is not None:
            if self.host.project_file is None:
                raise CommandError(f"{self.host.title} has no settings of projects")
            if not os.path.isdir(self.project):
                raise CommandError(f"no such directory: {self.project}")
            return [os.path.join(self.project, *self.host.project_file.split("/"))]
        machine = Machine(sys.platform, os.environ, os.path.expanduser("~"))
        usual, *further = self.host.files(machine)
        found = [path for pattern in further for path in _directories(pattern)]
        return found if found and not os.path.exists(usual) else [usual, *found]

    # -- what ---------------------------------------------------------------------------------

    def _entry(self) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
        """The server's name, what stands there, and what the host has to ask for."""
        assert self.server is not None
        if "://" in self.server:
            return self._remote(self.server)
        file, object_name = split_object(self.server)
        if not os.path.isfile(file):
            raise CommandError(f"no such file: {file}")
        words = launch_command(file, object_name, self.packages, self.python)
        own = trio.run(_name_of, words, self.env) if self.check else None
        name = self.name or _usable(own or os.path.splitext(os.path.basename(file))[0])
        local = Local(name, words[0], words[1:], self.env)
        return name, self.host.local(local), None

    def _remote(self, url: str) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise UsageError(f"not a URL: {error}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise UsageError("a URL is http://HOST/PATH or https://HOST/PATH")
        if parts.username is not None or parts.password is not None:
            raise UsageError("a URL with a password would stand in a file: use --token-env")
        name = self.name or _usable(f"{host}-{port}" if port else host)
        entry = self.host.remote(Remote(name, url, self.token_env))
        if self.token_env is None or self.host.inputs is None:
            return name, entry, None
        text = f"Access token for {host}"
        asked = {"type": "promptString", "id": self.token_env, "description": text}
        return name, entry, {**asked, "password": True}

    # -- telling ------------------------------------------------------------------------------

    def _finish(self, files: list[HostFile], what: str) -> None:
        for file in files:
            if file.after == file.before:
                print(f"{self.host.title}: {file.path} has it already")
                continue
            if self.dry_run:
                sys.stdout.write(file.difference())
                continue
            copy = file.write()
            print(f"{self.host.title}: {what} in {file.path}")
            if copy is not None:
                print(f"What was there before is in {copy}")
        if not self.dry_run and not self.uninstall:
            print(f"Next: {self.host.next_step}.")


def _variable(word: str) -> tuple[str, str]:
    """`KEY=VALUE`, or `KEY` for the value that it has now. Raises ValueError."""
    key, separator, value = word.partition("=")
    if not _VARIABLE.fullmatch(key):
        # What stands there may be a secret.
        raise ValueError("--env takes KEY=VALUE, or KEY")
    if separator:
        return key, value
    if key not in os.environ:
        raise ValueError(f"the environment has no {key}")
    return key, os.environ[key]


def _directories(pattern: str) -> list[str]:
    """Files, which need not exist, in directories that do."""
    directory, name = os.path.split(pattern)
    return [os.path.join(each, name) for each in sorted(glob.glob(directory))]


def _usable(name: str) -> str:
    """A name that all hosts take; the user is told if it is not the same."""
    usable = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "server"
    if usable != name:
        sys.stderr.write(f"the name {name!r} becomes {usable!r} there; --name chooses another\n")
    return usable


def _absolute(text: str) -> str:
    file, name = split_object(text)
    path = os.path.abspath(file)
    return path if name is None else f"{path}:{name}"


def _texts(entry: Any) -> list[str]:
    """The command's words, or the URL, of an entry of any host."""
    if not isinstance(entry, dict):
        return []
    args = entry.get("args")
    return [text for text in [*entry.values(), *(args or [])] if isinstance(text, str)]


def _runs(entry: Any, wanted: str) -> bool:
    """Whether an entry is for a file, whatever object of it, or for a URL."""
    return any(text == wanted or split_object(text)[0] == wanted for text in _texts(entry))


def _is_same(old: Any, new: dict[str, Any]) -> bool:
    """Whether an entry may be replaced: it runs the same file with trimcp, or has the same URL."""
    if "args" in new:
        served = _served(new)
        return served is not None and served == _served(old)
    texts = _texts(old)
    urls = {text for text in _texts(new) if "://" in text}
    return bool(urls & set(texts))


def _served(entry: Any) -> str | None:
    """The file that an entry serves with `trimcp run`, without its object."""
    args = entry.get("args") if isinstance(entry, dict) else None
    words = [word for word in args or [] if isinstance(word, str)]
    if "trimcp" not in words:
        return None
    _, *after = words[words.index("trimcp") :]
    files = [split_object(word)[0] for word in after if os.path.isabs(word)]
    return files[0] if after[:1] == ["run"] and files else None


async def _name_of(command: list[str], env: dict[str, str]) -> str | None:
    """Start the server as the host will, and ask for its name. Raises CommandError."""
    from trimcp.client import open_stdio_client
    from trimcp.errors import MCPError, ProcessDied

    from ._stderr import telling_line

    said: list[str] = []
    try:
        async with open_stdio_client(
            command, env=env, timeout=_PATIENCE, on_stderr=said.append
        ) as client:
            info = client.server_info
            return None if info is None else info.name
    except ProcessDied as error:
        line = telling_line(error.stderr or said).removeprefix("trimcp: ")
        raise CommandError(f"the server does not start, so nothing was changed: {line}") from error
    except (MCPError, OSError) as error:
        raise CommandError(
            f"the server does not answer, so nothing was changed: {error}"
        ) from error
