/**
 * The same server with the official TypeScript SDK, over HTTP, on Node's own HTTP server.
 *
 *     node http_typescript.mjs PORT
 *
 * How the packages are found: see typescript.mjs.
 */
import { createServer } from 'node:http';

import { localhostHostValidation, localhostOriginValidation, toNodeHandler } from '../../tests/interop/node_modules/@modelcontextprotocol/node/dist/index.mjs';
import { McpServer, createMcpHandler } from '../../tests/interop/node_modules/@modelcontextprotocol/server/dist/index.mjs';
import * as z from '../../tests/interop/node_modules/zod/index.js';

const handler = createMcpHandler(() => {
    const server = new McpServer({ name: 'bench', version: '1.0.0' });
    server.registerTool(
        'add',
        {
            description: 'Add two integers.',
            inputSchema: z.object({ a: z.int(), b: z.int() }),
            outputSchema: z.object({ result: z.int() })
        },
        async ({ a, b }) => ({
            content: [{ type: 'text', text: String(a + b) }],
            structuredContent: { result: a + b }
        })
    );
    return server;
});

const serve = toNodeHandler(handler);
const isHostGood = localhostHostValidation();
const isOriginGood = localhostOriginValidation();

createServer((request, response) => {
    if (!isHostGood(request, response) || !isOriginGood(request, response)) return;
    serve(request, response);
}).listen(Number(process.argv[2]), '127.0.0.1');
