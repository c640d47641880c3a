"""A person at the browser, without a browser: signs in by the form, keeps cookies, sends XSRF tokens as the pages do."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Mapping

import httpx
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect


class Person:
    """A signed-in person. `base` is the workbench's address, with a slash at the end."""

    def __init__(self, base: str, name: str, password: str) -> None:
        self.base, self.name = base, name
        self.http = httpx.Client(base_url=base, follow_redirects=True, timeout=30, trust_env=False)
        page = self.http.get("hub/login")
        page.raise_for_status()
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        assert xsrf, page.text
        self.login_page = page.text
        self.answer = self.http.post(
            "hub/login", params={"next": "/hub/home"}, data={"username": name, "password": password, "_xsrf": xsrf.group(1)}
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def _xsrf(self, path: str) -> Mapping[str, str]:
        cookies = [cookie for cookie in self.http.cookies.jar if cookie.name == "_xsrf" and path.startswith(cookie.path.lstrip("/"))]
        assert cookies, "no XSRF cookie for this path"
        return {"X-XSRFToken": max(cookies, key=lambda cookie: len(cookie.path)).value or ""}

    def api(self, method: str, path: str, **more) -> httpx.Response:
        """A request as the page's own code makes it."""
        path = path.lstrip("/")
        headers = {**self._xsrf(path), "Referer": self.base + "hub/home"} if method != "GET" else {}
        return self.http.request(method, path, headers=headers, **more)

    def start(self, seconds: float = 60) -> None:
        """Start my session and wait until it answers."""
        answer = self.api("POST", f"hub/api/users/{self.name}/server")
        assert answer.status_code in {201, 202}, answer.text
        deadline = time.monotonic() + seconds
        with self.http.stream("GET", f"hub/api/users/{self.name}/server/progress") as events:
            for line in events.iter_lines():
                assert time.monotonic() < deadline, "the session did not start in time"
                assert '"failed": true' not in line, line
                if '"ready": true' in line:
                    break
        self.http.get(f"user/{self.name}/lab").raise_for_status()

    def stop(self) -> None:
        """Stop my session."""
        assert self.api("DELETE", f"hub/api/users/{self.name}/server").status_code in {202, 204}

    def contents(self, path: str) -> httpx.Response:
        """What JupyterLab's file browser shows at `path`."""
        return self.http.get(f"user/{self.name}/api/contents/{path}")

    def token(self) -> str:
        """A token as a session has: it may call the service."""
        answer = self.api("POST", f"hub/api/users/{self.name}/tokens", json={"note": "test"})
        assert answer.status_code == 201, answer.text
        return answer.json()["token"]

    def service(self, path: str, token: str | None = None) -> httpx.Response:
        """GET of the hub's service with a token."""
        return self.http.get(f"services/cohortlab/api/v1/{path}", headers={"Authorization": f"token {token or self.token()}"})

    def run(self, code: str, seconds: float = 60) -> str:
        """Run code in a new kernel of my session; what it printed. Fails with the traceback when it raised."""
        token = self.token()
        headers = {"Authorization": f"token {token}"}
        kernel = self.http.post(f"user/{self.name}/api/kernels", headers=headers, json={"name": "python3"})
        assert kernel.status_code == 201, kernel.text
        return asyncio.run(_execute(f"{self.base}user/{self.name}/api/kernels/{kernel.json()['id']}/channels", headers, code, seconds))


async def _execute(url: str, headers: Mapping[str, str], code: str, seconds: float) -> str:
    request = HTTPRequest(url.replace("http", "ws", 1), headers=dict(headers))
    socket = await websocket_connect(request)
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": uuid.uuid4().hex, "version": "5.3"}
    await socket.write_message(
        json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []})
    )
    printed = ""
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = json.loads(await socket.read_message() or "{}")
                if message.get("parent_header", {}).get("msg_id") != header["msg_id"]:
                    continue
                if message["msg_type"] == "stream":
                    printed += message["content"]["text"]
                elif message["msg_type"] == "error":
                    raise AssertionError("\n".join(message["content"]["traceback"]))
                elif message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    return printed
    finally:
        socket.close()
        while await socket.read_message() is not None:  # until the other side has closed too
            pass
