/**
 * The features of features_trimcp.py with the official TypeScript SDK.
 *
 *     node features_typescript.mjs          over stdio
 *     node features_typescript.mjs PORT     over HTTP
 *
 * It has no streaming tools. How the packages are found: see typescript.mjs.
 */
import { createServer } from 'node:http';

import { localhostHostValidation, localhostOriginValidation, toNodeHandler } from '../../tests/interop/node_modules/@modelcontextprotocol/node/dist/index.mjs';
import { McpServer, createMcpHandler } from '../../tests/interop/node_modules/@modelcontextprotocol/server/dist/index.mjs';
import { serveStdio } from '../../tests/interop/node_modules/@modelcontextprotocol/server/dist/stdio.mjs';
import * as z from '../../tests/interop/node_modules/zod/index.js';

const DATA = 'bench://data';

let handler;

const text = content => ({ content: [{ type: 'text', text: content }] });

function create() {
    const server = new McpServer(
        { name: 'bench', version: '1.0.0' },
        { capabilities: { resources: { subscribe: true } } }
    );
    server.registerTool(
        'large',
        { description: 'A text of a certain length.', inputSchema: z.object({ size: z.int() }) },
        async ({ size }) => text('x'.repeat(size))
    );
    server.registerTool(
        'progress',
        { description: 'Reports how far it is.', inputSchema: z.object({ count: z.int() }) },
        async ({ count }, ctx) => {
            const { progressToken } = ctx.mcpReq._meta;
            for (let progress = 1; progress <= count; progress++) {
                const params = { progressToken, progress, total: count };
                await ctx.mcpReq.notify({ method: 'notifications/progress', params });
            }
            return text(String(count));
        }
    );
    server.registerResource('data', DATA, { description: 'Something that changes.' }, async uri => ({
        contents: [{ uri: uri.href, text: 'data' }]
    }));
    server.registerTool('touch', { description: 'Say that it has changed.' }, async () => {
        handler.notify.resourceUpdated(DATA);
        return text('touched');
    });
    return server;
}

if (process.argv[2] === undefined) {
    serveStdio(create);
} else {
    handler = createMcpHandler(create);
    const serve = toNodeHandler(handler);
    const isHostGood = localhostHostValidation();
    const isOriginGood = localhostOriginValidation();
    createServer((request, response) => {
        if (!isHostGood(request, response) || !isOriginGood(request, response)) return;
        serve(request, response);
    }).listen(Number(process.argv[2]), '127.0.0.1');
}
