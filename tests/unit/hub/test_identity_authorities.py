"""Visa issuers' keys come over TLS whose authority is known: by the system, or by SSL_CERT_FILE."""

import asyncio
import http.server
import json
import ssl
import threading

import pytest
from joserfc.jwk import ECKey

from certificates import certificate
from cohortlab.errors import UnavailableError
from cohortlab_hub.identity.keys import KeyRing

KEY = ECKey.generate_key("P-256", parameters={"kid": "one"}, private=True)


class Issuer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def issuer(tmp_path):
    """The address of the issuer's keys, and the file of the authority that it is certified by."""
    made = certificate("127.0.0.1")
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}/jwks", tmp_path / "authority"
        server.shutdown()
        thread.join()


async def key_of(address):
    ring = KeyRing(60)
    try:
        return await ring.key(address, "one")
    finally:
        await ring.close()


def test_an_institutions_own_authority_is_trusted_when_it_is_named(issuer, monkeypatch):
    address, authority = issuer
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert asyncio.run(key_of(address)).kid == "one"


def test_nobody_elses_authority_is(issuer, monkeypatch):
    address, _ = issuer
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(UnavailableError):
        asyncio.run(key_of(address))
