// An OpenID provider on loopback: `node provider.mjs FRONTEND FOLDER`. FOLDER/provider.json: the client and lifetimes;
// FOLDER/people.json: account id -> claims, read at every question, so that a test changes what the provider knows.
// FOLDER/unanswered: a line for each question that it was silent to. Prints its address. Closing its standard input ends it.
import { appendFileSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [frontend, folder] = process.argv.slice(2)
const { Provider } = await import(pathToFileURL(join(frontend, 'node_modules/oidc-provider/lib/index.js')).href)
const settings = JSON.parse(readFileSync(join(folder, 'provider.json'), 'utf8'))
const people = () => JSON.parse(readFileSync(join(folder, 'people.json'), 'utf8'))

const server = createServer()
await new Promise((done) => server.listen(settings.port ?? 0, '127.0.0.1', done))
const issuer = `http://127.0.0.1:${server.address().port}`
const provider = new Provider(issuer, {
  clients: [{
    client_id: settings.client_id,
    client_secret: settings.client_secret,
    redirect_uris: settings.redirect_uris,
    post_logout_redirect_uris: settings.post_logout_redirect_uris,
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  pkce: { required: () => true },
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username', 'given_name', 'family_name', 'groups', 'realm_access', 'resource_access'],
    eduperson_entitlement: ['eduperson_entitlement'],
    ga4gh_passport_v1: ['ga4gh_passport_v1'],
  },
  scopes: ['openid', 'profile', 'offline_access', 'eduperson_entitlement', 'ga4gh_passport_v1'],
  ttl: { AccessToken: settings.access_token_seconds ?? 3600, IdToken: 600, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  cookies: { keys: ['only for a test'] },
  jwks: settings.jwks,
  findAccount: (ctx, id) => {
    const claims = people()[id]
    return claims && { accountId: id, claims: () => ({ sub: id, ...claims }) }
  },
})
server.on('request', (request, response) => {
  if (people().__silent__) {  // as behind a gateway whose provider is down
    appendFileSync(join(folder, 'unanswered'), `${request.method}\n`)
    response.writeHead(503).end()
    return
  }
  provider.callback()(request, response)
})
process.stdout.write(`${issuer}\n`)
process.stdin.on('end', () => process.exit(0)).resume()
