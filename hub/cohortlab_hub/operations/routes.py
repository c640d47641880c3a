"""HTTP of operations: whether the service is alive and ready. Metrics are at an address of their own, see `metrics`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel

from cohortlab_hub.operations.checks import Checks
from cohortlab_hub.operations.collector import Records
from cohortlab_hub.operations.metrics import Address, Metrics
from cohortlab_hub.settings import Settings

router = APIRouter(tags=["service"])


class ReadyAnswer(BaseModel):
    """Whether the service can do its work. Each of `checks` is ``ok``, or a word for what is wrong."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the service runs. Open to all: it says nothing else."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"model": ReadyAnswer}})
async def ready(request: Request, response: Response) -> ReadyAnswer:
    """Whether the records answer and are migrated, the signing key can be read, and JupyterHub answers; else 503. Open to all."""
    checks: Checks = request.app.state.checks
    found = await checks.look()
    if not found.ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    response.headers["Cache-Control"] = "no-store"
    return ReadyAnswer(status="ready" if found.ready else "not ready", checks={str(name): said for name, said in found.checks.items()})


@asynccontextmanager
async def checking(app: FastAPI, hub_api: str) -> AsyncIterator[None]:
    """What ``/ready`` asks, for the life of the application, as ``app.state.checks``."""
    app.state.checks = checks = Checks(app.state.settings, app.state.sessions.kw["bind"], hub_api)
    try:
        yield
    finally:
        await checks.close()


@asynccontextmanager
async def measuring(app: FastAPI) -> AsyncIterator[None]:
    """Metrics at their address, for the life of the application, where workbench.yaml has one."""
    settings: Settings = app.state.settings
    metrics: Metrics = app.state.metrics
    metrics.registry.register(Records(settings, app.state.sessions, app.state.catalogue))
    if settings.metrics is None:
        yield
        return
    address = Address(metrics.registry, settings.metrics.host, settings.metrics.port, settings.metrics.secret)
    address.open()
    try:
        yield
    finally:
        address.close()
