/**
 * The server that the TypeScript peers serve, over whichever transport.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { McpServer, acceptedContent, inputRequired } from '@modelcontextprotocol/server';
import * as z from 'zod';

const text = value => ({ content: [{ type: 'text', text: String(value) }] });

/** How many calls of `forever` this process has seen cancelled, whichever era asked. */
let cancelled = 0;

/**
 * Sends 1 … `steps` as progress; silent when the caller gave no progress token. The pause gives
 * each step a read of its own: this SDK's client forgets the token of a call as soon as it parses
 * the answer, and so drops the steps that came in the same chunk.
 */
const STEP_MS = 20;
async function reportSteps(steps, ctx) {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    if (progressToken === undefined) return;
    for (let progress = 1; progress <= steps; progress++) {
        await ctx.mcpReq.notify({
            method: 'notifications/progress',
            params: { progressToken, progress, total: steps, message: `step ${progress}` }
        });
        await sleep(STEP_MS);
    }
}

function addTools(server) {
    const sum = z.object({ result: z.int() });
    const numbers = z.object({ a: z.int(), b: z.int() });
    server.registerTool(
        'add',
        { description: 'Add two integers.', inputSchema: numbers, outputSchema: sum },
        async ({ a, b }) => ({ ...text(a + b), structuredContent: { result: a + b } })
    );
    server.registerTool('slow', { description: 'Report three steps of progress.' }, async ctx => {
        await reportSteps(3, ctx);
        return text('done');
    });
    server.registerTool(
        'countdown',
        { description: 'Report so many steps.', inputSchema: z.object({ steps: z.int() }) },
        async ({ steps }, ctx) => {
            await reportSteps(steps, ctx);
            return text('liftoff');
        }
    );
    server.registerTool('fail', { description: 'Fail, as a tool may.' }, async () => ({
        ...text('this tool always fails'),
        isError: true
    }));
    server.registerTool('forever', { description: 'Wait to be cancelled.' }, async ctx => {
        await new Promise(resolve => {
            ctx.mcpReq.signal.addEventListener('abort', resolve, { once: true });
        });
        cancelled += 1;
        return text('cancelled');
    });
    server.registerTool('cancelled', { description: 'Cancelled calls of forever.' }, async () =>
        text(cancelled)
    );
}

/** One body for both eras: the SDK asks a handshake-era client with a request of its own. */
function addAsk(server) {
    const form = z.object({ ok: z.boolean() });
    server.registerTool('ask', { description: 'Ask the user yes or no.' }, async ctx => {
        const answers = ctx.mcpReq.inputResponses;
        if (answers?.question === undefined) {
            return inputRequired({
                inputRequests: {
                    question: inputRequired.elicit({ message: 'Go on?', requestedSchema: form })
                }
            });
        }
        return text(acceptedContent(answers, 'question', form)?.ok === true ? 'yes' : 'no');
    });
}

/**
 * `revisions` is what it supports, the preferred one first; by default all that the SDK knows.
 */
export function createServer(revisions) {
    const server = new McpServer(
        { name: 'typescript-sdk-peer', version: '1.0.0' },
        {
            capabilities: { tools: {} },
            instructions: 'A peer for interoperability tests.',
            ...(revisions && { supportedProtocolVersions: revisions })
        }
    );
    addTools(server);
    addAsk(server);
    return server;
}
