"""Sign-in at an OpenID provider: oauthenticator's GenericOAuthenticator, set from workbench.yaml by a recipe.

What is added to it: the provider's addresses come from its discovery document; group names are full paths; an account's name
belongs for good to the first identity that had it; visas of the person's passport become grants; sign-out reaches the
provider. What is known of a signed-in person is asked again every `refresh_seconds`. While the provider does not answer, the last
known groups count for `keep_seconds`; when it answers that the sign-in is over, or the person is admitted no more, they
count no longer and the person must sign in again.
"""

import asyncio
import time
from collections import defaultdict
from contextvars import ContextVar
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.scopes import needs_scope
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.oauth2 import OAuthLoginHandler, OAuthLogoutHandler
from sqlalchemy.exc import SQLAlchemyError
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError
from traitlets import Instance

from cohortlab.errors import RefusedError
from cohortlab_hub.identity import arrivals
from cohortlab_hub.identity.groups import names
from cohortlab_hub.identity.passports import CLAIM, Reader
from cohortlab_hub.identity.settings import OidcLogin
from cohortlab_hub.settings import Settings

_OURS = "cohortlab"
_DISCOVERY_SECONDS = 3600.0
_JUST_NOW = 0.8  # seconds: for who waited while another request asked
_silent: ContextVar[bool] = ContextVar("provider_silent", default=False)


class _LoginHandler(OAuthLoginHandler):  # type: ignore[misc]  # oauthenticator has no types
    """To the provider, at the addresses that it says itself."""

    async def get(self) -> None:
        try:
            await self.authenticator.discover()
        except (HTTPClientError, OSError):
            raise HTTPError(HTTPStatus.BAD_GATEWAY, "The sign-in service does not answer. Try again in a moment.") from None
        super().get()


class _LogoutHandler(OAuthLogoutHandler):  # type: ignore[misc]  # oauthenticator has no types
    """Signs out here and at the provider."""

    async def render_logout_page(self) -> None:
        address = await self.authenticator.sign_out_address()
        if address:
            self.redirect(address)
        else:
            await super().render_logout_page()


class _RefreshHandler(APIHandler):  # type: ignore[misc]  # jupyterhub has no types
    """For the hub's service: ask the provider again about a person who has a session, also when they make no request."""

    @needs_scope("read:users:groups")  # type: ignore[untyped-decorator]  # jupyterhub has no types
    async def post(self, user_name: str) -> None:
        user = self.find_user(user_name)
        if user is None:
            raise HTTPError(HTTPStatus.NOT_FOUND)
        signed_in = await self.refresh_auth(user) is not None
        self.write({"signed_in": signed_in, "groups": sorted(group.name for group in user.groups)})


class WorkbenchAuthenticator(GenericOAuthenticator):  # type: ignore[misc]  # oauthenticator has no types
    """See the module's own words. `settings` is set by `cohortlab_hub.identity.configure`."""

    login_handler = _LoginHandler
    logout_handler = _LogoutHandler
    settings = Instance(Settings, config=True, help="The workbench's settings.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._discovered = float("-inf")
        self._sign_out = ""
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._recent: dict[str, tuple[float, bool]] = {}
        self._records = arrivals.Arrivals(self.settings)
        passports = self.settings.passports
        self._passports = Reader(passports, self.login.client_id) if passports is not None else None

    @property
    def login(self) -> OidcLogin:
        """The provider."""
        login = self.settings.login
        if not isinstance(login, OidcLogin):
            raise TypeError("This sign-in needs a provider in workbench.yaml.")
        return login

    def get_handlers(self, app: Any) -> list[tuple[str, type]]:
        """Those of sign-in and sign-out, and the refresh for the hub's service."""
        handlers: list[tuple[str, type]] = super().get_handlers(app)
        return [*handlers, (r"/api/cohortlab/refresh/([^/]+)", _RefreshHandler)]

    async def discover(self) -> None:
        """Read the provider's addresses, at most once an hour.

        Raises `HTTPClientError` or `OSError` when it does not answer, `HTTPError` when it is another one.
        """
        if time.monotonic() - self._discovered < _DISCOVERY_SECONDS:
            return
        issuer = self.login.issuer
        document = await self.httpfetch(issuer.rstrip("/") + "/.well-known/openid-configuration", "reading the provider's configuration")
        if not isinstance(document, dict) or str(document.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
            raise HTTPError(HTTPStatus.BAD_GATEWAY, "The sign-in service says that it is another one.")
        addresses = [document.get(f"{name}_endpoint") for name in ("authorization", "token", "userinfo")]
        if not all(isinstance(address, str) for address in addresses):
            raise HTTPError(HTTPStatus.BAD_GATEWAY, "The sign-in service does not say its addresses.")
        self.authorize_url, self.token_url, self.userdata_url = addresses
        self._sign_out = str(document.get("end_session_endpoint") or "")
        self._discovered = time.monotonic()

    async def sign_out_address(self) -> str:
        """Where the provider signs people out (OpenID Connect RP-Initiated Logout), empty when it does not say.

        Without `id_token_hint`: an address is written to logs. The provider asks the person instead.
        """
        try:
            await self.discover()
        except (HTTPClientError, HTTPError, OSError):
            return ""
        query = urlencode({"client_id": self.client_id, "post_logout_redirect_uri": self.login.hub_url + "hub/login"})
        return f"{self._sign_out}?{query}" if self._sign_out else ""

    async def httpfetch(self, url: str, label: str = "fetching", *args: Any, **kwargs: Any) -> Any:
        """As oauthenticator's, noting when the provider did not answer, which is not a no. Redirects are not followed."""
        try:
            return await super().httpfetch(url, label, *args, follow_redirects=False, **kwargs)
        except HTTPClientError as error:
            if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code == HTTPStatus.TOO_MANY_REQUESTS:
                _silent.set(True)
            raise
        except OSError:
            _silent.set(True)
            raise

    async def get_token_info(self, handler: Any, params: dict[str, Any]) -> dict[str, Any]:
        """As oauthenticator's, at the address that the provider says."""
        await self.discover()
        info: dict[str, Any] = await super().get_token_info(handler, params)
        return info

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """As oauthenticator's, at the address that the provider says. Raises `HTTPError` when it does not say who it is."""
        await self.discover()
        claims: dict[str, Any] = await super().token_to_user(token_info)
        if not isinstance(claims, dict) or not isinstance(claims.get("sub"), str):
            raise HTTPError(HTTPStatus.BAD_GATEWAY, "The sign-in service does not say who you are.")
        return claims

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """The account's name. Raises `HTTPError` without showing the other claims, as oauthenticator's log would."""
        name = user_info.get(self.login.how.name_claim)
        if not isinstance(name, str) or not name:
            raise HTTPError(HTTPStatus.FORBIDDEN, f"The sign-in service does not say your account name ({self.login.how.name_claim}).")
        return name

    def normalize_username(self, username: str) -> str:
        """As the provider gives it: two names that differ in case are two people."""
        return username

    def build_auth_state_dict(self, token_info: dict[str, Any], user_info: dict[str, Any]) -> dict[str, Any]:
        """As oauthenticator's, and when this was known."""
        state: dict[str, Any] = super().build_auth_state_dict(token_info, user_info)
        return {**state, _OURS: {"confirmed": time.time()}}

    async def get_user_groups(self, auth_state: dict[str, Any]) -> set[str]:
        """Full paths, by the recipe."""
        how, entitlements = self.login.how, self.login.entitlements
        claim = auth_state[self.user_auth_state_key].get(how.groups_claim)
        return names(claim, how.form, entitlements.namespace, entitlements.authority)

    async def run_post_auth_hook(self, handler: Any, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Who is admitted has arrived. Raises `HTTPError` (403) when the name is another identity's."""
        model: dict[str, Any] = await super().run_post_auth_hook(handler, auth_model)
        self._recent.pop(model["name"], None)
        await self._arrive(model, None)
        return model

    async def refresh_user(self, user: Any, handler: Any = None, **kwargs: Any) -> Any:
        """True: as before; False: they must sign in again, and belong to no group until then; else the new model.

        One at a time for a person: where refresh tokens are good for one use, two requests with the same one would end the sign-in.
        """
        async with self._locks[user.name]:
            at, before = self._recent.get(user.name, (float("-inf"), False))
            if time.monotonic() - at < _JUST_NOW:
                return before
            model = await self._refresh(user, handler, **kwargs)
            self._recent[user.name] = time.monotonic(), bool(model)
            return model

    async def _refresh(self, user: Any, handler: Any, **kwargs: Any) -> Any:
        _silent.set(False)
        before = {group.name for group in user.groups}
        try:
            model = await super().refresh_user(user, handler, **kwargs)
            if isinstance(model, dict):
                if model["name"] == user.name and await self.check_allowed(user.name, model):
                    await self._arrive(model, before)
                    return model
                model = False
        except (HTTPClientError, HTTPError, OSError, SQLAlchemyError) as error:
            self.log.warning("What is known of %s could not be refreshed: %s", user.name, type(error).__name__)
            model = False
            if isinstance(error, SQLAlchemyError):
                _silent.set(True)
        if model is False and _silent.get() and await self._may_keep(user):
            return True
        if model is False:
            user.sync_groups([])
            await asyncio.to_thread(self._records.gone, user.name, before)
        return model

    async def _may_keep(self, user: Any) -> bool:
        state = await user.get_auth_state() or {}
        confirmed = float(state.get(_OURS, {}).get("confirmed", 0))
        return time.time() - confirmed < self.login.keep_seconds

    async def _arrive(self, model: dict[str, Any], before: set[str] | None) -> None:
        claims = model["auth_state"][self.user_auth_state_key]
        identity = (claims["sub"], self.login.issuer)
        try:
            await asyncio.to_thread(self._records.bind, model["name"], identity, set(model["groups"]), before)
        except RefusedError as error:
            raise HTTPError(HTTPStatus.FORBIDDEN, error.message) from None
        if self._passports is not None:
            passport = await self._passports.read(claims.get(CLAIM), identity, datetime.now(UTC))
            await asyncio.to_thread(self._records.stamp, model["name"], passport)
