/**
 * A client made with the official TypeScript SDK that does what it is told, for one of everything.
 *
 *     node features_client.mjs handshake|stateless STEPS -- command [argument …]
 *
 * STEPS is a JSON object: each label names a step, and what the step saw is printed under that
 * label, all in one JSON document. A step that throws is recorded as `{"error": {…}}`.
 *
 *     {"op": "call", "name": …, "arguments": {…}, "level": …, "at_total": …}
 *         a tool; `level` is for its log only, `at_total` another tool that is called when the
 *         progress has reached its total
 *     {"op": "read", "uri": …}
 *     {"op": "prompt", "name": …, "arguments": {…}}
 *     {"op": "complete", "ref": {…}, "argument": {…}, "context": {…}}
 *     {"op": "pages", "method": …}                     a list, page by page
 *     {"op": "page", "method": …, "cursor": …}         one page of it
 *     {"op": "tools"}                                  all tools, by the SDK's own means
 *     {"op": "level", "level": …}                      handshake era
 *     {"op": "identify"}                               what is known of the server
 *     {"op": "listen", "resources": […], "calls": [{"name": …, "arguments": …, "changes": 2}, …]}
 *         subscribe to resources and to the list of tools, call tools, and tell what each of them
 *         has changed: URIs, and "tools"
 *     {"op": "request", "method": …, "params": {…}}    of an extension
 */
import { Client, LOG_LEVEL_META_KEY } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { z } from 'zod';

const MODES = { handshake: 'legacy', stateless: { pin: '2026-07-28' } };

async function attempt(step) {
    try {
        return { result: await step() };
    } catch (error) {
        const { code = null, message, data = null } = error;
        return { error: { type: error.constructor.name, code, message, data } };
    }
}

/** Fills in any form; the message may ask for something else. */
function answer({ message, requestedSchema }) {
    if (message.includes('decline')) return { action: 'decline' };
    if (message.includes('cancel')) return { action: 'cancel' };
    const fill = schema => {
        if (schema.enum !== undefined) return schema.enum.at(-1);
        if (schema.type === 'array') return schema.items.enum;
        return { string: 'text', integer: 3, number: 1.5, boolean: true }[schema.type];
    };
    const required = Object.entries(requestedSchema.properties).filter(([name]) =>
        requestedSchema.required.includes(name)
    );
    const content = Object.fromEntries(required.map(([name, schema]) => [name, fill(schema)]));
    return { action: 'accept', content };
}

class Script {
    constructor(era) {
        this.era = era;
        this.seen = { logs: [], questions: [], unexpected: [] };
        this.client = new Client(
            { name: 'typescript-sdk-peer', version: '1.0.0' },
            {
                capabilities: { elicitation: { form: {} } },
                versionNegotiation: { mode: MODES[era] }
            }
        );
        this.client.onerror = error => this.seen.unexpected.push(error.message);
        this.client.setNotificationHandler('notifications/message', ({ params }) => {
            this.seen.logs.push(params);
        });
        this.told = [];
        this.onChange = () => {};
        const tell = change => {
            this.told.push(change);
            this.onChange();
        };
        this.client.setNotificationHandler('notifications/resources/updated', ({ params }) =>
            tell(params.uri)
        );
        this.client.setNotificationHandler('notifications/tools/list_changed', () => tell('tools'));
        this.client.setRequestHandler('elicitation/create', async ({ params }) => {
            this.seen.questions.push(params);
            return answer(params);
        });
    }

    async call({ name, arguments: args = {}, level, at_total: atTotal }) {
        const progress = [];
        const onprogress = step => {
            progress.push(step);
            if (atTotal !== undefined && step.progress === step.total) this.call({ name: atTotal });
        };
        const _meta = level === undefined ? {} : { _meta: { [LOG_LEVEL_META_KEY]: level } };
        const outcome = await attempt(() =>
            this.client.callTool({ name, arguments: args, ..._meta }, { onprogress })
        );
        return { ...outcome, progress };
    }

    async pages(method) {
        const pages = [await this.client.request({ method, params: {} })];
        while (pages.at(-1).nextCursor !== undefined) {
            const { nextCursor: cursor } = pages.at(-1);
            pages.push(await this.client.request({ method, params: { cursor } }));
        }
        return pages;
    }

    async listen({ resources, calls }) {
        const { client } = this;
        if (this.era === 'stateless') {
            const filter = { toolsListChanged: true, resourceSubscriptions: resources };
            const subscription = await client.listen(filter);
            const found = await this.collect(calls);
            await subscription.close();
            return found;
        }
        for (const uri of resources) await client.subscribeResource({ uri });
        const found = await this.collect(calls);
        for (const uri of resources) await client.unsubscribeResource({ uri });
        return found;
    }

    /** Calls tools one after another; the changes that each of them led to. */
    async collect(calls) {
        const found = [];
        for (const { name, arguments: args, changes } of calls) {
            await this.client.callTool({ name, arguments: args });
            while (this.told.length < changes)
                await new Promise(resolve => {
                    this.onChange = resolve;
                });
            found.push(this.told.splice(0, changes).sort());
        }
        return found;
    }

    async identify() {
        const { client } = this;
        if (this.era === 'stateless') await client.discover();
        return {
            revision: client.getNegotiatedProtocolVersion(),
            info: client.getServerVersion(),
            capabilities: client.getServerCapabilities(),
            instructions: client.getInstructions()
        };
    }

    async step({ op, ...params }) {
        const { client } = this;
        switch (op) {
            case 'call':
                return this.call(params);
            case 'read':
                return attempt(() => client.readResource(params));
            case 'prompt':
                return attempt(() => client.getPrompt(params));
            case 'complete':
                return attempt(() => client.complete(params));
            case 'pages':
                return attempt(() => this.pages(params.method));
            case 'page':
                return attempt(() =>
                    client.request({ method: params.method, params: { cursor: params.cursor } })
                );
            case 'tools':
                return attempt(() => client.listTools());
            case 'level':
                return attempt(() => client.setLoggingLevel(params.level));
            case 'identify':
                return attempt(() => this.identify());
            case 'listen':
                return attempt(() => this.listen(params));
            case 'request':
                return attempt(() => client.request(params, z.looseObject({})));
            default:
                throw new Error(`no such step: ${op}`);
        }
    }

    async run(steps, [command, ...args]) {
        await this.client.connect(new StdioClientTransport({ command, args, env: process.env }));
        for (const [label, step] of Object.entries(steps)) this.seen[label] = await this.step(step);
        await this.client.close();
        return this.seen;
    }
}

const [era, steps, separator, ...command] = process.argv.slice(2);
if (!Object.hasOwn(MODES, era ?? '') || separator !== '--' || command.length === 0) {
    console.error('usage: node features_client.mjs handshake|stateless STEPS -- command …');
    process.exit(2);
}
console.log(JSON.stringify(await new Script(era).run(JSON.parse(steps), command)));
