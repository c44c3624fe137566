"""Authorization: who calls a server, and how a client logs in.

Needs the extra `trimcp[auth]`. Nothing of it is imported by a program that does not use it.

Specification: Authorization.
"""

from ._introspection import IntrospectionVerifier
from ._jwt import JWTVerifier
from ._static import StaticTokenVerifier

__all__ = ["IntrospectionVerifier", "JWTVerifier", "StaticTokenVerifier"]
