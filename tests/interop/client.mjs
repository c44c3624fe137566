/**
 * A client made with the official TypeScript SDK, the peer of the server under test.
 *
 *     node client.mjs handshake|stateless|auto -- command [argument …]
 *     node client.mjs handshake|stateless|auto -- ws://… | http://…
 *
 * `auto` lets the SDK find out the era, with a process of its own for the question.
 * Starts the command, drives it over stdio through a fixed script and prints one JSON object that
 * says what was seen. A step that throws is recorded as `{"error": {…}}` and the script goes on;
 * the exit status is 1 only when no connection could be made.
 */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const STATELESS = '2026-07-28';
const MODES = { handshake: 'legacy', stateless: { pin: STATELESS }, auto: 'auto' };
const CANCEL_AFTER_MS = 100;

const describeError = error => ({
    type: error.constructor.name,
    code: error.code ?? null,
    message: error.message,
    data: error.data ?? null
});

/** Runs one step and keeps either its result or its error. */
async function attempt(step) {
    try {
        return { result: await step() };
    } catch (error) {
        return { error: describeError(error) };
    }
}

/** Says yes: true for every boolean the form asks for, `confirm` when it names none. */
function agree(requestedSchema) {
    const properties = Object.entries(requestedSchema?.properties ?? {});
    const booleans = properties.filter(([, schema]) => schema.type === 'boolean');
    if (booleans.length === 0) return { confirm: true };
    return Object.fromEntries(booleans.map(([name]) => [name, true]));
}

function createClient(era, questions) {
    const client = new Client(
        { name: 'typescript-sdk-peer', version: '1.0.0' },
        {
            capabilities: { elicitation: { form: {} } },
            versionNegotiation: { mode: MODES[era] }
        }
    );
    client.setRequestHandler('elicitation/create', async request => {
        questions.push(request.params);
        return { action: 'accept', content: agree(request.params.requestedSchema) };
    });
    return client;
}

async function cancelForever(client) {
    const controller = new AbortController();
    const call = attempt(() =>
        client.callTool({ name: 'forever', arguments: {} }, { signal: controller.signal })
    );
    setTimeout(() => controller.abort('cancelled by the test'), CANCEL_AFTER_MS);
    const outcome = await call;
    return { cancelled: controller.signal.aborted, ...outcome };
}

async function callTools(client, facts, questions) {
    const call = (name, args = {}, options = undefined) =>
        attempt(() => client.callTool({ name, arguments: args }, options));
    facts.add = await call('add', { a: 2, b: 3 });
    const progress = [];
    facts.countdown = {
        ...(await call('countdown', { steps: 3 }, { onprogress: step => progress.push(step) })),
        progress
    };
    facts.fail = await call('fail');
    facts.ask = { ...(await call('ask')), questions };
    facts.invalid_arguments = await call('add', { a: 'two', b: 3 });
    facts.unknown_tool = await call('no-such-tool');
    facts.forever = await cancelForever(client);
    facts.after_cancel = await call('add', { a: 20, b: 22 });
    facts.cancelled = await call('cancelled');
}

/** Messages over the platform's own WebSocket, for which the SDK has no transport. */
class WebSocketTransport {
    constructor(url) {
        this.url = url;
    }

    start() {
        this.socket = new WebSocket(this.url, 'mcp');
        this.socket.onmessage = event => this.onmessage?.(JSON.parse(event.data));
        this.socket.onclose = () => this.onclose?.();
        return new Promise((resolve, reject) => {
            this.socket.onopen = () => resolve();
            this.socket.onerror = event => reject(new Error(event.message ?? 'no WebSocket'));
        });
    }

    async send(message) {
        this.socket.send(JSON.stringify(message));
    }

    close() {
        const closed = new Promise(resolve => this.socket.addEventListener('close', resolve));
        this.socket.close();
        return closed;
    }
}

/** Records what the connection settled on. */
function identify(client, facts) {
    facts.protocol_version = client.getNegotiatedProtocolVersion() ?? null;
    facts.server_info = client.getServerVersion() ?? null;
    facts.capabilities = client.getServerCapabilities() ?? null;
    facts.instructions = client.getInstructions() ?? null;
}

async function run(era, [command, ...args]) {
    const questions = [];
    const unexpected = [];
    const client = createClient(era, questions);
    client.onerror = error => unexpected.push(error.message);
    const transport = command.startsWith('ws:')
        ? new WebSocketTransport(command)
        : command.startsWith('http:')
          ? new StreamableHTTPClientTransport(new URL(command))
          : new StdioClientTransport({ command, args, env: process.env });
    const facts = { sdk: 'typescript', era };
    facts.connect = await attempt(() => client.connect(transport));
    if (facts.connect.error === undefined) {
        facts.tools = await attempt(async () => (await client.listTools()).tools);
        await callTools(client, facts, questions);
        if (era === 'handshake') facts.ping = await attempt(() => client.ping());
        else facts.discover = await attempt(() => client.discover());
        identify(client, facts);
    }
    const closing = performance.now();
    facts.close = await attempt(() => client.close());
    facts.close_seconds = (performance.now() - closing) / 1000;
    facts.unexpected_errors = unexpected;
    return facts;
}

const [era, separator, ...command] = process.argv.slice(2);
if (!Object.hasOwn(MODES, era ?? '') || separator !== '--' || command.length === 0) {
    console.error('usage: node client.mjs handshake|stateless|auto -- command [argument …]');
    process.exit(2);
}
const facts = await run(era, command);
console.log(JSON.stringify(facts, (_key, value) => (value === undefined ? null : value)));
process.exitCode = facts.connect.error === undefined ? 0 : 1;
