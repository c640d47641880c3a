"""A person who signs in at the provider, without a browser: follows the redirects and fills in the provider's forms."""

import re
from urllib.parse import urljoin

import httpx
from person import Person


class Member(Person):
    """A person signed in at the provider as `login`; their account in the workbench is `name`."""

    def __init__(
        self, base: str, login: str, name: str | None = None, next_url: str = "/hub/home"
    ) -> None:  # no password: the provider's matter
        self.base, self.name = base, name or login
        self.http = httpx.Client(base_url=base, follow_redirects=True, timeout=30, trust_env=False)
        self.answer = self.sign_in(login, next_url)

    def sign_in(self, login: str, next_url: str = "/hub/home") -> httpx.Response:
        """From the hub's button to wherever it ends."""
        answer = self.http.get("hub/oauth_login", params={"next": next_url})
        for _ in range(4):  # the sign-in, the consent
            form = re.search(r'<form[^>]*action="([^"]+)"[^>]*method="post"', answer.text)
            if answer.url.path.startswith("/hub/") or form is None or answer.status_code >= 400:
                break
            fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', answer.text))
            if 'name="login"' in answer.text:
                fields |= {"login": login, "password": "any"}
            answer = self.http.post(urljoin(str(answer.url), form.group(1)), data=fields)
        return answer

    @property
    def signed_in(self) -> bool:
        """Whether the hub shows its home page."""
        return self.http.get("hub/home").url.path == "/hub/home"
