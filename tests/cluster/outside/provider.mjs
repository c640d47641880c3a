// An OpenID provider for the tests on a cluster. /config/provider.json: its address, key and client; /config/people.json: account
// id -> claims; /tls: its certificate. It signs in whoever it knows, with any password.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { Provider } from '/srv/outside/node_modules/oidc-provider/lib/index.js'

const read = (file) => JSON.parse(readFileSync(`/config/${file}.json`, 'utf8'))
const { issuer, client, jwks } = read('provider')
const provider = new Provider(issuer, {
  clients: [{ ...client, grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: 'client_secret_basic' }],
  pkce: { required: () => true },
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
  ttl: { AccessToken: 3600, IdToken: 600, RefreshToken: 7200, Session: 7200, Grant: 7200, Interaction: 600 },
  issueRefreshToken: async (ctx, known) => known.grantTypeAllowed('refresh_token'),
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ['only for a test'] },
  jwks,
  findAccount: (ctx, id) => {
    const claims = read('people')[id]
    return claims && { accountId: id, claims: () => ({ sub: id, ...claims }) }
  },
})
const tls = { key: readFileSync('/tls/tls.key'), cert: readFileSync('/tls/tls.crt') }
createServer(tls, provider.callback()).listen(8443, () => process.stdout.write(`${issuer}\n`))
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => process.exit(0))
