"""A workbench whose people sign in at a real OpenID provider, with two issuers of visas, one of them trusted."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from member import Member
from postgres import Postgres, binaries
from provider_process import CLIENT, Provider, needs_provider
from running import MAIN, Running
from tiny import write_workbench

from cohortlab_hub import ports
from visa_issuer import VisaIssuer

VISA = "https://data.example.org/datasets/"
SECRET = "only-for-a-test-of-the-webhook-32"  # noqa: S105 - a test's


@dataclass
class Place:
    """The workbench and those around it. `people` is what the provider knows at the start."""

    address: str
    file: Path
    provider: Provider
    trusted: VisaIssuer
    untrusted: VisaIssuer
    people: dict[str, dict]

    def command(self, *arguments) -> subprocess.CompletedProcess:
        """The `cohortlab` command on this workbench."""
        return subprocess.run([*MAIN, *arguments, "--workbench", str(self.file)], capture_output=True, text=True, timeout=120, check=False)

    def events(self) -> list[dict]:
        """All audit events, oldest first."""
        return json.loads(self.command("audit", "list", "--limit", "1000", "--json").stdout)[::-1]

    def change(self, name: str, **claims) -> None:
        """From now on the provider says this of `name` too."""
        self.provider.know(self.provider.people | {name: self.provider.people[name] | claims})


def _people(trusted: VisaIssuer, untrusted: VisaIssuer) -> dict[str, dict]:
    readers = ["/cohort/readers"]
    anas = trusted.visa("sub-ana", VISA + "alpha")
    return {
        "sub-ana": {"preferred_username": "ana", "groups": readers, "ga4gh_passport_v1": [anas]},
        "sub-carol": {"preferred_username": "carol", "groups": [*readers, "/cohort/others"]},
        "sub-dora": {"preferred_username": "dora", "groups": readers},
        "sub-steward": {"preferred_username": "steward", "groups": [*readers, "/cohort/stewards"]},
        "sub-mallory": {
            "preferred_username": "mallory",
            "groups": readers,
            "ga4gh_passport_v1": [
                untrusted.visa("sub-mallory", VISA + "alpha"),
                untrusted.visa("sub-mallory", VISA + "alpha", iss=trusted.url),
                anas,
            ],
        },
        "sub-outsider": {"preferred_username": "outsider", "groups": ["/somewhere/else"]},
        "sub-impostor": {"preferred_username": "ana", "groups": readers},
        "sub-hub": {"preferred_username": "hub", "groups": readers},
        "sub-colon": {"preferred_username": "command:root", "groups": readers},
        "sub-nameless": {"groups": readers},
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    needs_provider()
    folder = tmp_path_factory.mktemp("oidc")
    trusted, untrusted = VisaIssuer(), VisaIssuer()
    [port] = ports.choose("127.0.0.1", 0, 0)
    hub = f"http://127.0.0.1:{port}/"
    provider = Provider(folder / "provider", hub, _people(trusted, untrusted))
    (folder / "secret").write_text(SECRET)
    cluster = Postgres() if binaries() else None
    file = write_workbench(folder, ("alpha", "beta", "gamma"))
    document = yaml.safe_load(file.read_text())
    document["datasets"]["alpha"]["visas"] = [VISA + "alpha"]
    document |= {
        "login": {
            "kind": "oidc",
            "recipe": "keycloak",
            "issuer": provider.issuer,
            "client_id": CLIENT,
            "client_secret": "provider/secret",
            "public_url": hub,
            "allow": {"groups": ["/cohort/readers"]},
            "refresh_seconds": 1,
            "keep_seconds": 6,
        },
        "passports": {"issuers": {trusted.url: {"keys": trusted.jwks, "subjects": "provider"}}},
        "access": {
            "grace_seconds": 10,
            "check_seconds": 1,
            "negotiators": {"mediator": {"secret": "secret", "datasets": ["beta"]}},
        },
        "steward_groups": ["/cohort/stewards"],
        **({"database": cluster.database()} if cluster else {}),
    }
    file.write_text(yaml.safe_dump(document))
    made = Place(hub, file, provider, trusted, untrusted, provider.people)
    given = made.command("grants", "add", "gamma", "--group", "/cohort/readers", "--reason", "a test")
    assert given.returncode == 0, given.stderr
    running = Running([str(file), "--port", str(port)])
    try:
        running.until("is ready")
        yield made
        log = (folder / "logs" / "hub.log").read_text()
        assert "ga4gh_visa_v1" not in log
        assert provider.people["sub-ana"]["ga4gh_passport_v1"][0] not in log
    finally:
        running.stop()
        provider.stop()
        trusted.close()
        untrusted.close()
        if cluster:
            cluster.stop()


@pytest.fixture
def member(place):
    """Signs people in by their subject at the provider. What a test changed there is as before for the next."""
    made = []

    def sign_in(name, **more):
        made.append(Member(place.address, f"sub-{name}", name, **more))
        return made[-1]

    yield sign_in
    for one in made:
        one.http.close()
    place.provider.know(place.people)
