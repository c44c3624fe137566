/**
 * A client made with the official TypeScript SDK that logs in, the peer of the server under test.
 *
 *     node login.mjs handshake|stateless URL [CLIENT_ID [ALGORITHM]]
 *
 * Calls `who` and `write` at a protected server. Where the user is to log in, it prints `visit URL`
 * and reads the URL at which that ended from standard input. In the end it prints one JSON object
 * with what each call brought. Without a client id it registers. With an algorithm its tokens are bound
 * to a key of its own (DPoP).
 */
import { createInterface } from 'node:readline';
import {
    Client,
    DpopSession,
    StreamableHTTPClientTransport,
    UnauthorizedError
} from '@modelcontextprotocol/client';

const MODES = { handshake: 'legacy', stateless: { pin: '2026-07-28' } };
const REDIRECT_URI = 'http://127.0.0.1/callback';
const MOST_LOGINS = 3;

const [era, url, clientId, algorithm] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Keeps tokens and credentials in memory. */
class Login {
    redirectUrl = REDIRECT_URI;
    clientMetadata = {
        client_name: 'typescript-sdk-peer',
        redirect_uris: [REDIRECT_URI],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
        application_type: 'native'
    };
    credentials = clientId === undefined ? undefined : { client_id: clientId };

    clientInformation = () => this.credentials;
    saveClientInformation = credentials => void (this.credentials = credentials);
    tokens = () => this.saved;
    saveTokens = tokens => void (this.saved = tokens);
    codeVerifier = () => this.verifier;
    saveCodeVerifier = verifier => void (this.verifier = verifier);
    redirectToAuthorization = target => console.log('visit', target.href);
}

const login = new Login();
if (algorithm !== undefined) {
    const session = await DpopSession.create({ alg: algorithm });
    login.dpop = () => session;
}

/** Takes a step, and takes it again after each login that it demands. */
async function loggedIn(transport, step) {
    for (let count = 0; ; count++) {
        try {
            return await step();
        } catch (error) {
            if (!(error instanceof UnauthorizedError) || count === MOST_LOGINS) throw error;
            const { value } = await lines.next();
            await transport().finishAuth(new URL(value).searchParams);
        }
    }
}

async function attempt(step) {
    try {
        return { result: await step() };
    } catch (error) {
        return { error: { type: error.constructor.name, message: error.message } };
    }
}

let transport;

/** A transport serves for one attempt to connect. */
function connect() {
    transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: login });
    const client = new Client(
        { name: 'typescript-sdk-peer', version: '1.0.0' },
        { versionNegotiation: { mode: MODES[era] } }
    );
    return client.connect(transport).then(() => client);
}

const client = await loggedIn(() => transport, connect);
const call = (name, args) =>
    attempt(() => loggedIn(() => transport, () => client.callTool({ name, arguments: args })));
const facts = { who: await call('who', {}), write: await call('write', { text: 'eggs' }) };
await client.close();
console.log(JSON.stringify(facts));
process.exit();
