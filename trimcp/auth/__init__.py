"""Authorization: who calls a server, and how a client logs in.

Needs the extra `trimcp[auth]`. Nothing of it is imported by a program that does not use it.

Specification: Authorization.
"""

from ._client_auth import NewLogin
from ._dpop_verifier import DPoPVerifier
from ._introspection import IntrospectionVerifier
from ._jwt import JWTVerifier
from ._oauth import OAuth
from ._static import StaticTokenVerifier
from ._storage import FileTokenStorage, KeyringTokenStorage, MemoryTokenStorage, TokenStorage

__all__ = [
    "DPoPVerifier",
    "FileTokenStorage",
    "IntrospectionVerifier",
    "JWTVerifier",
    "KeyringTokenStorage",
    "MemoryTokenStorage",
    "NewLogin",
    "OAuth",
    "StaticTokenVerifier",
    "TokenStorage",
]
