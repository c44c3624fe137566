/**
 * An HTTP server made with the official TypeScript SDK, the peer of the client under test.
 *
 *     node http_server.mjs
 *
 * Serves on a free port and says `http://HOST:PORT` on standard output. `/mcp` serves both eras,
 * every request by itself; `/session` has sessions of the handshake era only, streams that can be
 * resumed, and a tool, `detour`, whose stream is closed before its answer is there.
 */
import { randomUUID } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import {
    WebStandardStreamableHTTPServerTransport,
    createMcpHandler
} from '@modelcontextprotocol/server';

import { createServer } from './tools.mjs';

/** Keeps every event for ever, which is long enough here. */
class Events {
    #all = [];

    async storeEvent(streamId, message) {
        this.#all.push({ streamId, message });
        return String(this.#all.length - 1);
    }

    async getStreamIdForEventId(eventId) {
        return this.#all[Number(eventId)]?.streamId;
    }

    async replayEventsAfter(lastEventId, { send }) {
        const { streamId } = this.#all[Number(lastEventId)];
        for (let id = Number(lastEventId) + 1; id < this.#all.length; id++) {
            const { streamId: of, message } = this.#all[id];
            if (of === streamId && Object.keys(message).length > 0) await send(String(id), message);
        }
        return streamId;
    }
}

const sessions = new Map();

async function openSession() {
    const transport = new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        eventStore: new Events(),
        retryInterval: 50,
        onsessioninitialized: id => sessions.set(id, transport),
        onsessionclosed: id => sessions.delete(id)
    });
    const server = createServer();
    server.registerTool('detour', { description: 'Answer on another stream.' }, async ctx => {
        ctx.http?.closeSSE?.();
        await sleep(100);
        return { content: [{ type: 'text', text: 'arrived' }] };
    });
    server.registerTool('forget', { description: 'Forget all sessions.' }, async () => {
        setImmediate(() => sessions.clear());
        return { content: [{ type: 'text', text: 'forgotten' }] };
    });
    await server.connect(transport);
    return transport;
}

async function session(request) {
    const id = request.headers.get('mcp-session-id');
    if (id !== null && !sessions.has(id)) return new Response('no such session', { status: 404 });
    const transport = sessions.get(id) ?? (await openSession());
    return transport.handleRequest(request);
}

const modern = createMcpHandler(() => {
    const server = createServer();
    server.registerTool('touch', { description: 'Say that tools have changed.' }, async () => {
        modern.notify.toolsChanged();
        return { content: [{ type: 'text', text: 'touched' }] };
    });
    return server;
});

const handlers = { '/mcp': modern.fetch, '/session': session };

async function answer(incoming, outgoing) {
    const url = new URL(incoming.url, `http://${incoming.headers.host}`);
    const handler = handlers[url.pathname];
    if (handler === undefined) {
        outgoing.writeHead(404).end();
        return;
    }
    const left = new AbortController();
    outgoing.on('close', () => left.abort());
    const response = await handler(
        new Request(url, {
            method: incoming.method,
            headers: incoming.headers,
            body: incoming.method === 'POST' ? Readable.toWeb(incoming) : undefined,
            duplex: 'half',
            signal: left.signal
        })
    );
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.flushHeaders();
    if (response.body === null) {
        outgoing.end();
        return;
    }
    const body = response.body.getReader();
    outgoing.on('close', () => body.cancel().catch(() => {}));
    for (let part = await body.read(); !part.done; part = await body.read()) {
        outgoing.write(part.value);
    }
    outgoing.end();
}

const server = createHttpServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(error => console.error(`http_server.mjs: ${error.stack}`));
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
