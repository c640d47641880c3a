"""The part of workbench.yaml that says where metrics are read."""

from ipaddress import ip_address

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from cohortlab_hub.settings_parts import File, Part


class Metrics(Part):
    """Where the service answers Prometheus: an address of its own, which no proxy leads to.

    `token`: a file with the word that a reader shows (``Authorization: Bearer …``), at this address and at ``/hub/metrics``. Without
    one the address must be this machine's own.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8083, ge=1, le=65535)
    token: File | None = None

    @model_validator(mode="after")
    def _closed(self) -> "Metrics":
        if self.token is None and not _loopback(self.host):
            raise PydanticCustomError("open_metrics", "Metrics beyond this machine need a token: name a file in metrics.token.")
        return self

    @property
    def secret(self) -> str | None:
        """The token itself."""
        return None if self.token is None else self.token.read_text(encoding="utf-8").strip()


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
