// panva's oidc-provider, configured as a peer of the integration tests. It listens on a free loopback port, prints one
// line of JSON that says where and with which clients, and ends when its standard input does: no test leaves it behind.
import { createHash, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider, errors } from 'oidc-provider';

// Standard output is for the one line; whoever reads it may close it then, and a later notice must not end the peer.
console.info = console.log = console.error;

const REDIRECT_URI = process.env.REDIRECT_URI ?? 'http://127.0.0.1/callback/peer';
const SECRET = 'peer-secret-0123456789-abcdefghijklmnop';

// Keys are made for each run: none is in the repository.
const jwk = (type, options, alg) => {
  const key = generateKeyPairSync(type, options).privateKey;
  const jwk = key.export({ format: 'jwk' });
  const kid = createHash('sha256').update(jwk.n ?? jwk.x).digest('base64url').slice(0, 16);
  return { key, jwk: { ...jwk, kid, alg, use: 'sig' } };
};
const signing = jwk('rsa', { modulusLength: 2048 }, 'RS256');
const api = jwk('ec', { namedCurve: 'P-256' }, 'ES256');
const assertion = jwk('ec', { namedCurve: 'P-256' }, 'ES256');
const { d: _private, ...assertionPublic } = assertion.jwk;

const device = 'urn:ietf:params:oauth:grant-type:device_code';
const client = (client_id, token_endpoint_auth_method, more) => ({
  client_id,
  token_endpoint_auth_method,
  application_type: 'native', // loopback redirect addresses may then have any port (RFC 8252 section 7.3)
  redirect_uris: [REDIRECT_URI],
  response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token', device].concat(
    token_endpoint_auth_method === 'none' ? [] : ['client_credentials']),
  scope: 'openid offline_access profile api:read api:write',
  ...more,
});
const clients = {
  basic: client('web-basic', 'client_secret_basic', { client_secret: SECRET }),
  post: client('web-post', 'client_secret_post', { client_secret: SECRET }),
  public: client('native-public', 'none'),
  // Characters that must be form-encoded inside Basic (RFC 6749 section 2.3.1).
  odd: client('web:odd +id', 'client_secret_basic', { client_secret: 'p%s:e/c+r e=t&-0123456789-0123456789' }),
  private_key_jwt: client('web-private-key-jwt', 'private_key_jwt', {
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: { keys: [assertionPublic] },
  }),
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const resource = `${issuer}/api`;
  const provider = new Provider(issuer, {
    clients: Object.values(clients),
    jwks: { keys: [signing.jwk, api.jwk] },
    cookies: { keys: ['only-for-this-peer'] },
    scopes: ['openid', 'offline_access', 'profile', 'api:read', 'api:write'],
    claims: { openid: ['sub'], profile: ['name'] },
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub, name: `${sub} of the peer` }) }),
    pkce: { required: (_context, client) => client.clientAuthMethod === 'none' },
    rotateRefreshToken: true,
    expiresWithSession: () => false,
    ttl: {
      AccessToken: 3600, AuthorizationCode: 60, ClientCredentials: 3600, DeviceCode: 600, Grant: 86400,
      IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 86400,
    },
    features: {
      devInteractions: { enabled: true }, // login and consent pages that take any password
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_context, _client, oneOf) => oneOf,
        useGrantedResource: () => true,
        getResourceServerInfo: (_context, asked) => {
          if (asked !== resource) throw new errors.InvalidTarget();
          return { scope: 'api:read api:write', audience: resource, accessTokenTTL: 3600, accessTokenFormat: 'opaque' };
        },
      },
    },
  });
  const grants = new Set();
  provider.on('refresh_token.saved', ({ grantId }) => grants.add(grantId));
  const answer = provider.callback();
  server.on('request', async (request, response) => {
    if (request.url !== '/end-grants') return answer(request, response);
    // As people do it in their accounts: nothing that was granted so far is refreshed any more.
    for (const grant of grants) await provider.RefreshToken.revokeByGrantId(grant);
    grants.clear();
    response.end('ended\n');
  });
  process.stdout.write(`${JSON.stringify({
    issuer,
    resource,
    redirect_uri: REDIRECT_URI,
    clients: Object.fromEntries(Object.entries(clients).map(
      ([name, { client_id, client_secret }]) => [name, { client_id, client_secret }])),
    private_key: assertion.key.export({ type: 'pkcs8', format: 'pem' }),
  })}\n`);
});

process.stdin.on('end', () => process.exit(0)).resume();
