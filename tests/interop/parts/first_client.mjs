/**
 * A client made with the TypeScript SDK of the 1.x generation, against the server under test:
 * prints in JSON what it saw.
 *
 *     node first_client.mjs http://…
 *     node first_client.mjs command [argument …]
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const [command, ...args] = process.argv.slice(2);
const transport = command.startsWith('http')
    ? new StreamableHTTPClientTransport(new URL(command))
    : new StdioClientTransport({ command, args });

const client = new Client({ name: 'first', version: '1.0.0' }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'accept', content: { ok: true } }));
await client.connect(transport);

const call = (name, input = {}, options = {}) =>
    client.callTool({ name, arguments: input }, undefined, options);
const seen = [];
const told = { tools: (await client.listTools()).tools.map(tool => tool.name) };
told.add = (await call('add', { a: 2, b: 3 })).structuredContent;
told.ask = (await call('ask')).content[0].text;
await call('countdown', { steps: 3 }, { onprogress: ({ progress }) => seen.push(progress) });
told.progress = seen;
told.fail = (await call('fail')).isError;
await client.close();
console.log(JSON.stringify(told));
