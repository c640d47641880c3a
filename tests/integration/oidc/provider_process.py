"""Starts the OpenID provider of `provider.mjs`, and says what it knows of people."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from joserfc.jwk import RSAKey

FRONTEND = Path(__file__).parents[3] / "extensions" / "frontend"
CLIENT, SECRET = "cohortlab-test", "only-for-a-test"


def needs_provider():
    """Skip, on CI fail, where node or the npm package is not here."""
    if shutil.which("node") is None or not (FRONTEND / "node_modules" / "oidc-provider").is_dir():
        why = "needs node and the npm package oidc-provider: `make setup` installs both"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)


class Provider:
    """A running provider for the hub at `hub` (its public address)."""

    def __init__(self, folder: Path, hub: str, people: dict[str, dict], **more) -> None:
        needs_provider()
        self._people = folder / "people.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.know(people)
        settings = {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": [f"{hub}hub/oauth_callback"],
            "post_logout_redirect_uris": [f"{hub}hub/login"],
            "jwks": {"keys": [{**RSAKey.generate_key(2048, private=True).as_dict(private=True), "kid": "sign-in", "use": "sig"}]},
            **more,
        }
        (folder / "provider.json").write_text(json.dumps(settings))
        (folder / "secret").write_text(SECRET + "\n")
        self.secret_file = folder / "secret"
        command = ["node", Path(__file__).with_name("provider.mjs"), FRONTEND, folder]
        with (folder / "provider.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.issuer = self.process.stdout.readline().strip()
        assert self.issuer, (folder / "provider.log").read_text()

    def know(self, people: dict[str, dict]) -> None:
        """From now on it knows these people, by account id, with these claims, and no others."""
        self.people = people
        partial = self._people.with_suffix(".partial")
        partial.write_text(json.dumps(people))
        partial.replace(self._people)

    def silent(self, silent: bool) -> None:
        """Whether it answers nothing but 503."""
        self.know({name: claims for name, claims in self.people.items() if name != "__silent__"} | ({"__silent__": {}} if silent else {}))

    @property
    def unanswered(self) -> int:
        """How many questions it was silent to."""
        file = self._people.with_name("unanswered")
        return len(file.read_text().splitlines()) if file.exists() else 0

    def stop(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=20)
