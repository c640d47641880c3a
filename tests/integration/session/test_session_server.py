"""The session's own server extension in a real Jupyter server: what the hub says of its end reaches the page, with the session's token."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "viewer"))

from jupyter_process import jupyter

NOTICE = {"id": "0" * 36, "kind": "idle", "message": "Nobody is there.", "stop_at": None, "extend_to": None}


class Service(BaseHTTPRequestHandler):
    """Stands in for the hub's service; notes what it was asked."""

    asked: list[tuple[str, str, str | None]]

    def log_message(self, *_words: object) -> None:
        """Tests say what went wrong."""

    def _answer(self, status: int, body: object) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Authorization")))
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status == 200 else "application/problem+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._answer(200, [NOTICE])

    def do_POST(self) -> None:
        allowed = NOTICE["id"] in self.path
        self._answer(200 if allowed else 403, NOTICE if allowed else {"detail": "This stop cannot be put off."})


@pytest.fixture(scope="module")
def hub():
    asked: list[tuple[str, str, str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Noting", (Service,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/services/cohortlab/", asked
    server.shutdown()
    server.server_close()
    thread.join()


def run(folder, **environment):
    config = folder / "config"
    config.mkdir()
    (config / "jupyter_server_config.json").write_text('{"ServerApp": {"jpserver_extensions": {"cohortlab.session": true}}}')
    return jupyter("jupyter_server", folder, environment)


def test_notices_are_asked_for_with_the_sessions_token(hub, tmp_path):
    service, asked = hub
    with run(tmp_path, COHORTLAB_SERVICE_URL=service, JUPYTERHUB_API_TOKEN="the-session", JUPYTERHUB_SERVER_NAME="lesson") as server:  # noqa: S106
        url, mine = f"{server.url}cohortlab/api/notices", {"Authorization": f"token {server.token}"}
        answer = httpx.get(url, headers=mine, trust_env=False)
        assert answer.json() == [NOTICE]
        assert answer.headers["Cache-Control"] == "no-store"
        assert httpx.get(url, trust_env=False).status_code == 403  # not signed in
        assert httpx.post(f"{url}/{NOTICE['id']}/extend", headers=mine, trust_env=False).json() == NOTICE
        refused = httpx.post(f"{url}/{'a' * 36}/extend", headers=mine, trust_env=False)
        assert (refused.status_code, refused.json()["detail"]) == (403, "This stop cannot be put off.")
        assert httpx.post(f"{url}/..%2f..%2fgrants/extend", headers=mine, trust_env=False).status_code == 404
    base = "/services/cohortlab/api/v1/sessions/self/notices"
    assert [(method, path) for method, path, _ in asked if path.startswith(base)] == [  # the viewer asks for leases beside
        ("GET", f"{base}?server=lesson"),
        ("POST", f"{base}/{NOTICE['id']}/extend"),
        ("POST", f"{base}/{'a' * 36}/extend"),
    ]
    assert {token for _, _, token in asked} == {"token the-session"}


def test_without_a_hub_there_is_nothing_to_tell(tmp_path):
    with run(tmp_path) as server:
        url = f"{server.url}cohortlab/api/notices"
        assert httpx.get(url, headers={"Authorization": f"token {server.token}"}, trust_env=False).json() == []
