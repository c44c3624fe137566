"""The client under test of the official conformance suite; it uses nothing but the public API.

Usage: ``python client.py URL``, with the scenario's name in ``MCP_CONFORMANCE_SCENARIO``, its
revision in ``MCP_CONFORMANCE_PROTOCOL_VERSION`` and sometimes JSON in
``MCP_CONFORMANCE_CONTEXT``. What a scenario expects of a client is written in the suite.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import trio

from trimcp import Client, MCPError, open_client
from trimcp.auth import ClientCredentials, EnterpriseManaged, OAuth, WorkloadIdentity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trimcp.types import CreateMessageRequestParams, ElicitRequestFormParams, Tool

#: Seconds after which this process gives up; the suite would do so after 30.
WATCHDOG = 25.0

#: How the names of the scenarios of authorization begin.
AUTH = "auth/"

Scenario = "Callable[[Client], Awaitable[None]]"

SCENARIOS: dict[str, Callable[[Client], Awaitable[None]]] = {}


def scenario(
    *names: str,
) -> Callable[[Callable[[Client], Awaitable[None]]], Callable[[Client], Awaitable[None]]]:
    """Register what a client does in scenarios of these names."""

    def register(
        function: Callable[[Client], Awaitable[None]],
    ) -> Callable[[Client], Awaitable[None]]:
        for name in names:
            SCENARIOS[name] = function
        return function

    return register


def context() -> dict[str, Any]:
    """What the suite tells the client besides the URL."""
    loaded: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    return loaded


def sample_of(schema: Mapping[str, Any]) -> Any:
    """Some value that fits a simple schema."""
    if "enum" in schema:
        return schema["enum"][0]
    samples = {"string": "test", "integer": 1, "number": 1.5, "boolean": True, "array": []}
    return samples.get(schema.get("type", ""), {})


def arguments_for(tool: Tool) -> dict[str, Any]:
    """Values for a tool's required arguments."""
    properties = tool.input_schema.get("properties", {})
    return {name: sample_of(properties[name]) for name in tool.input_schema.get("required", ())}


# -- scenarios ----------------------------------------------------------------------------------


@scenario("initialize", "json-schema-ref-no-deref")
async def list_only(client: Client) -> None:
    if client.capabilities.tools is not None or client.revision >= "2026-07-28":
        await client.list_tools()


@scenario("tools_call")
async def add_numbers(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("add_numbers", {"a": 5, "b": 3})


@scenario("elicitation-sep1034-client-defaults")
async def elicitation_defaults(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("test_client_elicitation_defaults", {})


@scenario("sse-retry")
async def reconnection(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("test_reconnection", {})


@scenario("json-schema-2020-12-preservation")
async def echo_schema(client: Client) -> None:
    tools = {tool.name: tool for tool in await client.list_tools()}
    schema = dict(tools["json_schema_2020_12_tool"].input_schema)
    await client.call_tool("json_schema_echo", {"schema": schema})


@scenario("request-metadata")
async def any_requests(client: Client) -> None:
    await client.ping()
    tools = await client.list_tools()
    for tool in tools[:1]:
        await client.call_tool(tool.name, arguments_for(tool))


@scenario("http-standard-headers")
async def one_of_each(client: Client) -> None:
    for tool in await client.list_tools():
        await client.call_tool(tool.name, arguments_for(tool))
    for resource in await client.list_resources():
        await client.read_resource(resource.uri)
    for prompt in await client.list_prompts():
        await client.get_prompt(prompt.name, {})


@scenario("http-custom-headers")
async def given_calls(client: Client) -> None:
    await client.list_tools()
    for call in context()["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])


@scenario("http-invalid-tool-headers")
async def all_tools(client: Client) -> None:
    for tool in await client.list_tools():
        await client.call_tool(tool.name, arguments_for(tool))


@scenario("sep-2322-client-request-state")
async def rounds(client: Client) -> None:
    await client.list_tools()
    for name in ("echo_state", "unrelated", "no_state", "no_result_type"):
        await client.call_tool(f"test_mrtr_{name}", {})


async def call_test_tool(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("test-tool", {})


# -- the user -----------------------------------------------------------------------------------


async def visit(url: str) -> str:
    """What a browser does, with a user who agrees to everything: it ends where it is sent."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(url)
        return answer.headers["location"]


def login() -> OAuth:
    """As a user of the library would write it, with what the suite says of the client."""
    known = {name: context().get(name) for name in ("client_id", "client_secret", "issuer")}
    return OAuth(
        client_name="trimcp conformance",
        client_metadata_url="https://conformance-test.local/client-metadata.json",
        redirect=visit,
        redirect_uri="http://localhost:3000/callback",
        **known,
    )


# -- clients without a user ---------------------------------------------------------------------


async def issuer_at(url: str) -> str:
    """The authorization server of an MCP server.

    Whoever has been given a secret knows by whom. The suite does not say it, so this believes the
    server, which the library would not do.
    """
    parts = urlsplit(url)
    async with httpx2.AsyncClient(trust_env=False) as http:
        where = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path}"
        named: str = (await http.get(where)).json()["authorization_servers"][0]
        return named


async def auth_for(name: str, url: str) -> Any:
    """What a user of the library would write as `auth=`."""
    known = context()
    if name == "auth/client-credentials-jwt":
        key, algorithm = known["private_key_pem"], known["signing_algorithm"]
        return ClientCredentials(client_id=known["client_id"], private_key=key, algorithm=algorithm)
    if name == "auth/client-credentials-basic":
        return ClientCredentials(
            client_id=known["client_id"],
            client_secret=known["client_secret"],
            issuer=await issuer_at(url),
        )
    if name == "auth/wif-jwt-bearer":
        return WorkloadIdentity(
            token=lambda: known["valid_jwt"],
            client_id=known["client_id"],
            issuer=await issuer_at(url),
        )
    if name == "auth/enterprise-managed-authorization":
        return EnterpriseManaged(
            id_token=lambda: known["idp_id_token"],
            idp_issuer=known["idp_issuer"],
            idp_client_id=known["idp_client_id"],
            client_id=known["client_id"],
            client_secret=known["client_secret"],
            issuer=await issuer_at(url),
        )
    return login()


async def fill_in(form: ElicitRequestFormParams) -> dict[str, Any]:
    """Accept; the client fills in the defaults."""
    properties = form.requested_schema.get("properties", {})
    return {
        name: sample_of(schema) for name, schema in properties.items() if "default" not in schema
    }


async def answer(question: CreateMessageRequestParams) -> str:
    return "Paris"


async def run(name: str, url: str) -> None:
    options: dict[str, Any] = {"elicitation": fill_in, "sampling": answer, "roots": ["/test/root"]}
    revision = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION")
    with trio.fail_after(WATCHDOG):
        if name.startswith(AUTH):
            options["auth"] = await auth_for(name, url)
        async with open_client(url, revision=revision or None, **options) as client:
            await scenario_of(name)(client)


def scenario_of(name: str) -> Any:
    """What a client does in a scenario; in all those of authorization the same."""
    return SCENARIOS.get(name) or (call_test_tool if name.startswith(AUTH) else None)


def main() -> int:
    name = os.environ.get("MCP_CONFORMANCE_SCENARIO", "initialize")
    if scenario_of(name) is None:
        print(f"no scenario {name!r}", file=sys.stderr)
        return 2
    try:
        trio.run(run, name, sys.argv[-1])
    except (MCPError, trio.TooSlowError) as error:
        print(f"{name}: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
