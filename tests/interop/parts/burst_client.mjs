/**
 * Calls a tool that reports progress and answers at once, with the TypeScript SDK of the 1.x
 * generation, and prints how often the last report was seen before the answer.
 *
 *     node burst_client.mjs CALLS -- command [argument …]
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const STEPS = 3;

const [calls, , command, ...args] = process.argv.slice(2);
const client = new Client({ name: 'burst', version: '1.0.0' });
const errors = [];
client.onerror = error => errors.push(error.message);
await client.connect(new StdioClientTransport({ command, args }));

let whole = 0;
for (let call = 0; call < Number(calls); call += 1) {
    let last = 0;
    await client.callTool({ name: 'burst', arguments: { steps: STEPS } }, undefined, {
        onprogress: ({ progress }) => {
            last = progress;
        }
    });
    if (last === STEPS) whole += 1;
}
await client.close();
console.log(JSON.stringify({ calls: Number(calls), whole, errors: errors.length, sample: errors[0] ?? null }));
