"""The camelCase names of the wire; other modules import them from `_codec`."""

from __future__ import annotations

from typing import Final

META: Final = "_meta"
PROGRESS_TOKEN: Final = "progressToken"
RESULT_TYPE: Final = "resultType"
COMPLETE: Final = "complete"
INPUT_REQUIRED: Final = "input_required"
TTL_MS: Final = "ttlMs"
CACHE_SCOPE: Final = "cacheScope"

META_PREFIX: Final = "io.modelcontextprotocol/"
META_PROTOCOL_VERSION: Final = META_PREFIX + "protocolVersion"
META_CLIENT_INFO: Final = META_PREFIX + "clientInfo"
META_CLIENT_CAPABILITIES: Final = META_PREFIX + "clientCapabilities"
META_LOG_LEVEL: Final = META_PREFIX + "logLevel"
META_SUBSCRIPTION_ID: Final = META_PREFIX + "subscriptionId"
META_SERVER_INFO: Final = META_PREFIX + "serverInfo"
#: Members that only the two sides of a connection set, never a handler.
CONNECTION_META: Final = frozenset(
    {
        META_PROTOCOL_VERSION,
        META_CLIENT_INFO,
        META_CLIENT_CAPABILITIES,
        META_LOG_LEVEL,
        META_SUBSCRIPTION_ID,
        META_SERVER_INFO,
    }
)
#: Our own key: a chunk of a streaming tool, in its progress notification.
META_CHUNK: Final = "io.trimcp/chunk"

_IRREGULAR: Final = {"meta": META}


def wire_name(name: str) -> str:
    """The wire name of a field: `input_schema` is `inputSchema`, `meta` is `_meta`."""
    first, *rest = name.split("_")
    return _IRREGULAR.get(name) or first + "".join(word.capitalize() for word in rest)
