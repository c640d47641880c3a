// The way in to the workbench with TLS, as an ingress of the operator's would be. /config/door.json: where it leads; /tls: its certificate.
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createServer } from 'node:tls'

const { host, port } = JSON.parse(readFileSync('/config/door.json', 'utf8'))
const tls = { key: readFileSync('/tls/tls.key'), cert: readFileSync('/tls/tls.crt') }
const door = createServer(tls, (outer) => {
  const inner = connect(port, host)
  for (const [one, other] of [[outer, inner], [inner, outer]]) {
    one.on('error', () => other.destroy()).on('close', () => other.destroy()).pipe(other)
  }
})
door.on('tlsClientError', () => {}).listen(8443, () => process.stdout.write(`${host}:${port}\n`))
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => process.exit(0))
