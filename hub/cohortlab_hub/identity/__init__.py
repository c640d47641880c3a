"""Who is asking: a person or a service, as JupyterHub knows them by the token of the request."""

from cohortlab_hub.identity.hub import HubIdentity
from cohortlab_hub.identity.principal import Caller, Principal, UnauthenticatedError, current

__all__ = ["Caller", "HubIdentity", "Principal", "UnauthenticatedError", "current"]
