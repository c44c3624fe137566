"""Authorization: who calls a server, and how a client logs in.

Needs the extra `trimcp[auth]`. Nothing of it is imported by a program that does not use it.

Specification: Authorization.
"""

from ._client_auth import NewLogin
from ._dpop_verifier import DPoPVerifier
from ._enterprise import EnterpriseManaged
from ._introspection import IntrospectionVerifier
from ._jwt import JWTVerifier
from ._machines import ClientCredentials, WorkloadIdentity
from ._oauth import OAuth
from ._static import StaticTokenVerifier
from ._storage import FileTokenStorage, KeyringTokenStorage, MemoryTokenStorage, TokenStorage
from ._token_sources import token_from_environment, token_from_file

__all__ = [
    "ClientCredentials",
    "DPoPVerifier",
    "EnterpriseManaged",
    "FileTokenStorage",
    "IntrospectionVerifier",
    "JWTVerifier",
    "KeyringTokenStorage",
    "MemoryTokenStorage",
    "NewLogin",
    "OAuth",
    "StaticTokenVerifier",
    "TokenStorage",
    "WorkloadIdentity",
    "token_from_environment",
    "token_from_file",
]
