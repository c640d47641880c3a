"""A person at the workbench without a browser: signs in at the provider, starts sessions, runs code in them."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

sys.path[:0] = [str(Path(__file__).parents[1] / "integration" / part) for part in ("oidc", "hub")]

from bench import ADDRESS, Bench  # noqa: E402 - the order of the path
from kube import PATIENCE  # noqa: E402 - as above
from member import Member  # noqa: E402 - found by the line above


class Visitor(Member):
    """Somebody signed in at the provider."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench, self.base, self.name = bench, ADDRESS, name
        self.http = httpx.Client(base_url=ADDRESS, follow_redirects=True, timeout=60, trust_env=False, verify=bench.trust)
        self.answer = self.sign_in(f"sub-{name}")

    @property
    def selector(self) -> str:
        """Labels of my session's pod."""
        return f"component=singleuser-server,hub.jupyter.org/username={self.name}"

    def pod(self) -> dict | None:
        """My session's pod."""
        return self.bench.kube.pod(self.selector)

    def server(self) -> dict:
        """My session as the hub tells it; empty where there is none, or the hub does not answer."""
        try:
            answer = self.http.get(f"hub/api/users/{self.name}", params={"include_stopped_servers": "1"})
            return answer.json()["servers"].get("", {}) if answer.status_code == 200 else {}
        except (httpx.TransportError, json.JSONDecodeError):
            return {}

    def ready(self) -> bool:
        """Whether my session runs."""
        return bool(self.server().get("ready"))

    def ask(self, **options: object) -> httpx.Response:
        """Ask for a session."""
        return self.api("POST", f"hub/api/users/{self.name}/server", json=options)

    def events(self, enough: Callable[[dict], object]) -> list[dict]:
        """What the waiting page is told, up to what is `enough`, or its end."""
        told = []
        with self.http.stream("GET", f"hub/api/users/{self.name}/server/progress", timeout=PATIENCE) as lines:
            for line in lines.iter_lines():
                if line.startswith("data: "):
                    told.append(json.loads(line[6:]))
                    if enough(told[-1]):
                        break
        return told

    def start(self, profile: str = "small") -> float:
        """Start a session; seconds until it was ready."""
        began = time.monotonic()
        answer = self.ask(profile=profile)
        assert answer.status_code in {201, 202}, answer.text
        told = self.events(lambda event: event.get("ready") or event.get("failed"))
        assert told, "the hub told nothing of the start"
        assert told[-1].get("ready"), told[-1]
        took = time.monotonic() - began
        self.http.get(f"user/{self.name}/lab").raise_for_status()
        return took

    def stop(self) -> None:
        """Stop my session, whatever it does, and wait until its pod is gone."""

        def gone() -> bool:
            server = self.server()
            if server.get("ready") or server.get("pending") == "spawn":
                self.api("DELETE", f"hub/api/users/{self.name}/server")
            return not server.get("ready") and not server.get("pending") and not self.bench.kube.items("pods", self.selector)

        self.bench.kube.until(gone, f"the end of {self.name}'s session")
