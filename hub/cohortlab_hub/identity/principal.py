"""The principal of a request, as a FastAPI dependency.

Only the Authorization header counts, never a cookie: a page of another origin cannot set it, so a call to the API
needs no XSRF token, and a browser cannot be led into one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Depends, Request

from cohortlab.errors import RefusedError

if TYPE_CHECKING:
    from cohortlab_hub.identity.hub import HubIdentity


class UnauthenticatedError(RefusedError):
    """The request has no token, or one that JupyterHub does not know."""

    code = "unauthenticated"


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or a service. `scopes` are JupyterHub's, of the token that was shown."""

    name: str
    kind: Literal["user", "service"]
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()


async def current(request: Request) -> Principal:
    """FastAPI dependency: who asks. Raises `UnauthenticatedError` (401), or `RefusedError` (403) without the needed scope."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() not in {"token", "bearer"} or not token:
        raise UnauthenticatedError(
            "This needs a token.", hint="Send it as `Authorization: token …`; a session has it in JUPYTERHUB_API_TOKEN."
        )
    identity: HubIdentity = request.app.state.identity
    principal = await identity.of_token(token)
    request.state.user = principal.name  # for the request's line in the log
    return principal


Caller = Annotated[Principal, Depends(current)]
