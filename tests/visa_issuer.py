"""A GA4GH visa issuer on loopback: keys that change, a key set over HTTP that can fail, and visas right and wrong."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

_RSA_BITS = 2048


class VisaIssuer:
    """Serves ``/jwks``. `keys`: the published ones by kid; `answers`: the status that it answers with; `asked`: how often it was."""

    def __init__(self) -> None:
        self.keys: dict[str, RSAKey | ECKey] = {}
        self.answers, self.asked = 200, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = json.dumps({"keys": [{**key.as_dict(private=False), "kid": kid} for kid, key in outer.keys.items()]}).encode()
                self.send_response(outer.answers)
                self.end_headers()
                if outer.answers == 200:
                    self.wfile.write(body)

            def log_message(self, *_):
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self.jwks = self.url + "jwks"
        self.new_key("first")

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def new_key(self, kid: str, kind: str = "EC") -> None:
        """From now on it signs with this key, and publishes no other."""
        self.kid = kid
        self.keys = {kid: ECKey.generate_key("P-256") if kind == "EC" else RSAKey.generate_key(_RSA_BITS)}

    def visa(self, subject: str, value: str, *, kind="ControlledAccessGrants", header=None, key=None, body=None, **claims) -> str:
        """A visa that says that `subject` was granted `value`, for an hour; with changes."""
        now = int(time.time())
        signing = key or self.keys[self.kid]
        default = "RS256" if isinstance(signing, RSAKey) else "ES256"
        head = {"alg": default, "kid": self.kid, "jku": self.jwks, "typ": "vnd.ga4gh.visa+jwt"} | (header or {})
        visa = {"type": kind, "asserted": now, "value": value, "source": "https://dac.example.org", "by": "dac"} | (body or {})
        said = {"iss": self.url, "sub": subject, "iat": now, "exp": now + 3600, "jti": f"{subject} {value}", "ga4gh_visa_v1": visa} | claims
        return jwt.encode({k: v for k, v in head.items() if v is not None}, said, signing, algorithms=[head["alg"]])
