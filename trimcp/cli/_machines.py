"""Programs without a user: the options that say who they are to an authorization server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from ._names import usage_error
from ._secrets import secret_in, secret_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from trimcp.auth import ClientCredentials, EnterpriseManaged, WorkloadIdentity

__all__ = ["Machine"]

_CREDENTIALS: Final = "client-credentials"
_WORKLOAD: Final = "workload-identity"
_ENTERPRISE: Final = "enterprise"

_ABOUT: Final = """\
A server may want access tokens where there is no user who could log in. Secrets are read from the
environment or from a file; tokens are not kept.
"""

#: The options with the kinds of --auth that they are for, and their help.
_OPTIONS: Final = (
    ("--client-id", "ID", None, "the id that the authorization server has given"),
    ("--issuer", "URL", None, "the authorization server, the only one that is believed"),
    ("--client-secret-env", "VAR", (_CREDENTIALS, _ENTERPRISE), "a variable that has the secret"),
    ("--client-secret-file", "PATH", (_CREDENTIALS, _ENTERPRISE), "a file that has it"),
    ("--private-key-file", "PATH", (_CREDENTIALS, _ENTERPRISE), "a key (PEM text) in place of it"),
    ("--assertion-env", "VAR", (_WORKLOAD, _ENTERPRISE), "a variable that has the token of the "
     "platform, or the user's ID token"),
    ("--assertion-file", "PATH", (_WORKLOAD, _ENTERPRISE), "a file that has it"),
    ("--idp-issuer", "URL", (_ENTERPRISE,), "the user's identity provider"),
    ("--idp-client-id", "ID", (_ENTERPRISE,), "the id that it has given"),
    ("--idp-client-secret-env", "VAR", (_ENTERPRISE,), "a variable that has the secret for it"),
    ("--idp-client-secret-file", "PATH", (_ENTERPRISE,), "a file that has it"),
    ("--idp-private-key-file", "PATH", (_ENTERPRISE,), "a key (PEM text) in place of it"),
)  # fmt: skip

#: Of each tuple one option is needed.
_NEEDED: Final = {
    _CREDENTIALS: (
        ("--client-id",),
        ("--client-secret-env", "--client-secret-file", "--private-key-file"),
    ),
    _WORKLOAD: (("--issuer",), ("--assertion-env", "--assertion-file")),
    _ENTERPRISE: (
        ("--client-id",),
        ("--issuer",),
        ("--idp-issuer",),
        ("--idp-client-id",),
        ("--assertion-env", "--assertion-file"),
    ),
}

#: Of each tuple only one option is allowed.
_EITHER: Final = (
    ("--client-secret-env", "--client-secret-file", "--private-key-file"),
    ("--assertion-env", "--assertion-file"),
    ("--idp-client-secret-env", "--idp-client-secret-file", "--idp-private-key-file"),
)


@attrs.frozen
class Machine:
    """Who a program is.

    Attributes:
        kind: The value of `--auth`.
        scopes: Asked for besides those that the server names.
        given: The values of the other options that were given.
    """

    kind: str
    scopes: tuple[str, ...]
    given: dict[str, str]

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        group = parser.add_argument_group("programs without a user", _ABOUT)
        group.add_argument(
            "--auth",
            choices=tuple(_NEEDED),
            help="authorize the program by its own credentials, by the platform that it runs on, "
            "or by the identity provider of the user's organization",
        )
        for name, what, kinds, text in _OPTIONS:
            of = "" if kinds is None or len(kinds) > 1 else f" ({kinds[0]})"
            group.add_argument(name, metavar=what, help=text + of)
        group.add_argument(
            "--scope", dest="scopes", action="append", default=[], metavar="SCOPE",
            help="ask for this scope too; may be repeated",
        )  # fmt: skip

    @classmethod
    def read(cls, found: argparse.Namespace) -> Machine | None:
        """What the options say; None without `--auth`. Raises ValueError."""
        kind = found.auth
        values = {name: getattr(found, _attribute(name)) for name, *_ in _OPTIONS}
        given = {name: value for name, value in values.items() if value is not None}
        if kind is None:
            for name in (*given, *(["--scope"] if found.scopes else [])):
                raise ValueError(f"{name} belongs to --auth, which is missing")
            return None
        for name, _, kinds, _ in _OPTIONS:
            if name in given and kinds is not None and kind not in kinds:
                raise ValueError(f"{name} is not for --auth {kind}")
        for names in _NEEDED[kind]:
            if not any(name in given for name in names):
                raise ValueError(f"--auth {kind} needs {' or '.join(names)}")
        for names in _EITHER:
            if len(twice := [name for name in names if name in given]) > 1:
                raise ValueError(f"give {' or '.join(twice)}, not both")
        if kind == _CREDENTIALS and "--issuer" not in given and "--private-key-file" not in given:
            raise ValueError("a secret needs --issuer, the authorization server that gave it")
        return cls(kind, tuple(found.scopes), given)

    def auth(self) -> ClientCredentials | WorkloadIdentity | EnterpriseManaged:
        """What a client is given as `auth=`.

        Raises:
            UsageError: A secret is not there, or an option makes no sense.
        """
        from trimcp.auth import ClientCredentials, EnterpriseManaged, WorkloadIdentity

        common: dict[str, Any] = {"issuer": self.given.get("--issuer"), "scopes": self.scopes}
        common["client_id"] = self.given.get("--client-id")
        try:
            if self.kind == _WORKLOAD:
                return WorkloadIdentity(token=self._assertion(), **common)
            common |= self._credentials()
            if self.kind == _CREDENTIALS:
                return ClientCredentials(**common)
            return EnterpriseManaged(
                id_token=self._assertion(),
                idp_issuer=self.given["--idp-issuer"],
                idp_client_id=self.given["--idp-client-id"],
                **self._credentials("idp-"),
                **common,
            )
        except ValueError as error:
            raise usage_error(error) from error

    def _credentials(self, prefix: str = "") -> dict[str, Any]:
        """The secret or the key that the options lead to."""
        variable = self.given.get(f"--{prefix}client-secret-env")
        file = self.given.get(f"--{prefix}client-secret-file")
        key = self.given.get(f"--{prefix}private-key-file")
        secret = secret_of(variable) if variable is not None else None
        secret = secret_in(file) if file is not None else secret
        names = _attribute(f"--{prefix}client-secret"), _attribute(f"--{prefix}private-key")
        values = secret, secret_in(key) if key is not None else None
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def _assertion(self) -> Callable[[], object]:
        from trimcp.auth import token_from_environment, token_from_file

        if (file := self.given.get("--assertion-file")) is not None:
            return token_from_file(file)
        return token_from_environment(self.given["--assertion-env"])


def _attribute(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")
