/**
 * The same with the client of the official TypeScript SDK, over stdio.
 *
 * Usage: see client_trimcp.py. How the packages are found: see typescript.mjs.
 */
import { createInterface } from 'node:readline';

import { Client } from '../../tests/interop/node_modules/@modelcontextprotocol/client/dist/index.mjs';
import { StdioClientTransport } from '../../tests/interop/node_modules/@modelcontextprotocol/client/dist/stdio.mjs';

const [command, ...args] = process.argv.slice(2);
const client = new Client(
    { name: 'bench', version: '1.0.0' },
    { versionNegotiation: { mode: 'auto' } }
);

async function caller(until) {
    let count = 0;
    while (performance.now() < until) {
        const result = await client.callTool({ name: 'add', arguments: { a: 2, b: 3 } });
        if (result.content[0].text !== '5') throw new Error('a wrong answer');
        count++;
    }
    return count;
}

await client.connect(new StdioClientTransport({ command, args }));
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
    const [atOnce, seconds] = line.split(' ').map(Number);
    const began = performance.now();
    const counts = await Promise.all(Array.from({ length: atOnce }, () => caller(began + seconds * 1000)));
    const calls = counts.reduce((sum, each) => sum + each, 0);
    console.log(JSON.stringify({ calls, seconds: (performance.now() - began) / 1000 }));
}
await client.close();
