/**
 * The same server with the official TypeScript SDK.
 *
 * The packages are those that the interop tests install. Node looks for a bare name such as
 * 'zod' in the node_modules folders above *this* file, where there are none, so the files are
 * named by their path; whatever they import themselves is then found beside them.
 */
import { McpServer } from '../../tests/interop/node_modules/@modelcontextprotocol/server/dist/index.mjs';
import { serveStdio } from '../../tests/interop/node_modules/@modelcontextprotocol/server/dist/stdio.mjs';
import * as z from '../../tests/interop/node_modules/zod/index.js';

serveStdio(() => {
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
