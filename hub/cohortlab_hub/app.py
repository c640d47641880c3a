"""The hub's service: one FastAPI application, assembled from the rooms' routes, behind JupyterHub's proxy.

JupyterHub starts it as the managed service ``cohortlab`` and routes ``/services/cohortlab/`` to it, unchanged.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from sqlalchemy.orm import sessionmaker

from cohortlab_hub import problems, records
from cohortlab_hub.access.hub_api import HubApi
from cohortlab_hub.access.routes import router as access_router
from cohortlab_hub.access.watch import running as watching
from cohortlab_hub.access.webhook import router as webhook_router
from cohortlab_hub.audit.routes import router as audit_router
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.catalogue.routes import router as catalogue_router
from cohortlab_hub.identity import HubIdentity
from cohortlab_hub.jobs.room import running
from cohortlab_hub.jobs.routes import router as jobs_router
from cohortlab_hub.jobs.wire import ringing
from cohortlab_hub.operations.metrics import Metrics
from cohortlab_hub.operations.observed import Observed
from cohortlab_hub.operations.routes import checking, measuring
from cohortlab_hub.operations.routes import router as operations_router
from cohortlab_hub.pixels import running as pixels_running
from cohortlab_hub.pixels.routes import router as pixels_router
from cohortlab_hub.sessions.routes import router as sessions_router
from cohortlab_hub.settings import Settings

SERVICE = "cohortlab"


def create_app(settings: Settings, prefix: str | None = None, hub_api: str | None = None) -> FastAPI:
    """The application. `prefix` and `hub_api` default to what JupyterHub tells a managed service in its environment.

    The records are migrated first. State for the rooms' dependencies: ``settings``, ``sessions`` (session factory),
    ``identity``, ``catalogue`` and ``metrics``.
    """
    prefix = (prefix if prefix is not None else os.environ.get("JUPYTERHUB_SERVICE_PREFIX", f"/services/{SERVICE}/")).rstrip("/")
    records.migrate(settings.database_url)
    engine = records.engine(settings.database_url)
    hub_api = hub_api or os.environ.get("JUPYTERHUB_API_URL", "http://127.0.0.1:8081/hub/api")
    identity = HubIdentity(hub_api, SERVICE)
    token = os.environ.get("JUPYTERHUB_API_TOKEN")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            checking(app, hub_api),
            measuring(app),
            ringing(app),
            running(app),
            watching(app, HubApi(hub_api, token) if token else None),
            pixels_running(app),
        ):
            yield
        await identity.close()
        engine.dispose()

    app = FastAPI(
        title="Cohortlab",
        description="Access, catalogue, images and federated jobs. Every route needs JupyterHub's token in the Authorization header.",
        docs_url=None,  # their pages load code from other hosts
        redoc_url=None,
        openapi_url=f"{prefix}/openapi.json",
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.sessions = sessionmaker(engine, expire_on_commit=False)
    app.state.identity = identity
    app.state.catalogue = Catalogue(settings)
    app.state.metrics = Metrics()
    app.add_middleware(Observed, metrics=app.state.metrics, prefix=prefix)
    problems.install(app)

    app.include_router(operations_router, prefix=prefix)
    api = APIRouter(prefix=f"{prefix}/api/v1")
    for router in (access_router, webhook_router, audit_router, catalogue_router, jobs_router, pixels_router, sessions_router):
        api.include_router(router)
    app.include_router(api)
    return app
