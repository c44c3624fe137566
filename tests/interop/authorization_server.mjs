/**
 * An authorization server made with oidc-provider, for MCP servers on the loopback.
 *
 *     node authorization_server.mjs jwt|opaque CERTIFICATE KEY
 *
 * Serves over TLS on a free port of 127.0.0.1 until it gets SIGTERM, and says its issuer on standard
 * output. Its pages let everybody in, under any name. Access tokens are signed (`jwt`), or known to
 * the introspection endpoint only (`opaque`), which answers the client `resource-server`. Others
 * register, or are the client `known-client`, or `nonce-client`, whose proofs (DPoP) need a nonce, or
 * have a metadata document, of which there is one. The variable MACHINES has more clients: those
 * without a user.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider, { errors } from 'oidc-provider';

const SCOPES = 'notes:read notes:write';
const RESOURCE = /^http:\/\/127\.0\.0\.1:\d+(\/.*)?$/;

const [format, certificate, key] = process.argv.slice(2);

function signingKey() {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return { ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' };
}

function resourceServer(_ctx, resource) {
    if (!RESOURCE.test(resource)) throw new errors.InvalidTarget();
    return {
        scope: SCOPES,
        audience: resource,
        accessTokenTTL: 600,
        accessTokenFormat: format,
        jwt: { sign: { alg: 'ES256' } }
    };
}

const NATIVE = {
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none'
};
const DOCUMENT = { ...NATIVE, client_id: 'https://notes.example/client.json' };

/** What can be fetched. */
async function fetchDocument(url) {
    return url === DOCUMENT.client_id
        ? Response.json(DOCUMENT)
        : new Response('nothing', { status: 404 });
}

const configuration = {
    clients: [
        {
            client_id: 'resource-server',
            client_secret: 'the secret of the MCP server',
            redirect_uris: [],
            response_types: [],
            grant_types: []
        },
        { ...NATIVE, client_id: 'known-client' },
        { ...NATIVE, client_id: 'nonce-client' },
        ...JSON.parse(process.env.MACHINES ?? '[]')
    ],
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: {
        clientCredentials: { enabled: true },
        clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
        dPoP: {
            enabled: true,
            nonceSecret: randomBytes(32),
            requireNonce: (ctx) => ctx.oidc.client?.clientId === 'nonce-client'
        },
        introspection: {
            enabled: true,
            allowedPolicy: (_ctx, client) => client.clientId === 'resource-server'
        },
        registration: { enabled: true },
        resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
        revocation: { enabled: true }
    },
    fetch: fetchDocument,
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    jwks: { keys: [signingKey()] },
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access', ...SCOPES.split(' ')]
};

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
server.listen(0, '127.0.0.1', () => {
    const issuer = `https://127.0.0.1:${server.address().port}`;
    server.on('request', new Provider(issuer, configuration).callback());
    console.log(issuer);
});
