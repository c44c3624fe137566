/**
 * A stdio server made with the official TypeScript SDK, the peer of the client under test.
 *
 *     node server.mjs [--era handshake|stateless|both] [--revisions DATE,…]
 *
 * `both` (the default) lets the client's opening request choose the era of the connection.
 * `--revisions` is what the server supports, the preferred one first; by default all it knows.
 */
import { parseArgs } from 'node:util';

import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';

import { createServer } from './tools.mjs';

const { values } = parseArgs({
    options: { era: { type: 'string', default: 'both' }, revisions: { type: 'string' } }
});

const create = () => createServer(values.revisions?.split(','));

const onerror = error => console.error(`server.mjs: ${error.message}`);

switch (values.era) {
    case 'handshake':
        await create().connect(new StdioServerTransport());
        break;
    case 'stateless':
        serveStdio(create, { legacy: 'reject', onerror });
        break;
    case 'both':
        serveStdio(create, { onerror });
        break;
    default:
        console.error(`server.mjs: unknown era ${values.era}; use handshake, stateless or both`);
        process.exitCode = 2;
}
