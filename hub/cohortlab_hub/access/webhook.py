"""HTTP for negotiators: the one route without JupyterHub's token, since the delivery itself is signed."""

import hashlib
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ValidationError
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError as DuplicateError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from cohortlab.errors import IntegrityError, InvalidInputError, RefusedError
from cohortlab_hub.access import grants as record
from cohortlab_hub.access.grants import GrantRecord, NewGrant
from cohortlab_hub.access.negotiator import LARGEST, Delivery, authentic
from cohortlab_hub.access.routes import look_now
from cohortlab_hub.access.settings import Negotiator
from cohortlab_hub.access.tables import GrantRow, NegotiationRow
from cohortlab_hub.identity import UnauthenticatedError
from cohortlab_hub.settings import Settings

router = APIRouter(tags=["access"])
SOURCE = "negotiator"


class Taken(BaseModel):
    """A delivery was taken. `grants`: those of the negotiation that hold now."""

    negotiation: str
    grants: list[GrantRecord]


@router.post("/negotiators/{name}/deliveries", status_code=HTTPStatus.CREATED)
async def deliver(request: Request, response: Response, name: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,63}$")]) -> Taken:
    """A negotiator grants or revokes. The same delivery again gives the same answer, with 200; another one of its id is refused."""
    settings: Settings = request.app.state.settings
    negotiator = settings.access.negotiators.get(name)
    body = await _body(request)
    if negotiator is None or not authentic(negotiator.how, _secret(negotiator), request.headers, body, time.time()):
        raise UnauthenticatedError("This is not from a negotiator of this workbench.")
    delivery = _read(body)
    if not set(delivery.datasets) <= set(negotiator.datasets):
        raise RefusedError("This negotiator does not decide on one of these datasets.")
    digest = hashlib.sha256(body).hexdigest()
    try:
        taken, new = await run_in_threadpool(_take, request, name, delivery, digest)
    except DuplicateError:  # the same delivery at the same time: the other one is there now
        taken, new = await run_in_threadpool(_take, request, name, delivery, digest)
    if not new:
        response.status_code = HTTPStatus.OK
    await look_now(request)
    return taken


async def _body(request: Request) -> bytes:
    read = b""
    async for part in request.stream():
        read += part
        if len(read) > LARGEST:
            raise InvalidInputError("The delivery is too large.")
    return read


def _secret(negotiator: Negotiator) -> str:
    return negotiator.secret.read_text(encoding="utf-8").strip()


def _read(body: bytes) -> Delivery:
    try:
        return Delivery.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InvalidInputError(f"The delivery is not valid: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def _take(request: Request, name: str, delivery: Delivery, digest: str) -> tuple[Taken, bool]:
    settings: Settings = request.app.state.settings
    external = f"{name} {delivery.negotiation}"
    with request.app.state.sessions.begin() as database:
        before = database.get(NegotiationRow, f"{name} {delivery.id}", with_for_update=True)
        if before is not None and before.digest != digest:
            raise IntegrityError("Another delivery had this id.", hint="Give each delivery an id of its own.")
        if before is None:
            database.add(NegotiationRow(id=f"{name} {delivery.id}", digest=digest, received=datetime.now(UTC)))
            database.flush()
            _follow(database, f"negotiator:{name}", external, delivery, set(settings.datasets))
        rows = database.scalars(_holding(external)).all()
        return Taken(negotiation=delivery.negotiation, grants=[record.as_record(row) for row in rows]), before is None


def _holding(external: str) -> Select[GrantRow]:
    held = (GrantRow.source == SOURCE) & (GrantRow.external_id == external) & GrantRow.revoked_at.is_(None)
    return select(GrantRow).where(held).order_by(GrantRow.dataset)


def _follow(database: Session, actor: str, external: str, delivery: Delivery, known: set[str]) -> None:
    """The negotiation's grants become those of the delivery. What stays as it is keeps its grant."""
    wanted: dict[str, NewGrant] = {}
    if delivery.event == "granted":
        subject = delivery.person or delivery.group or ""
        for dataset in delivery.datasets:
            wanted[dataset] = NewGrant(
                subject_kind="person" if delivery.person else "group",
                subject=subject,
                dataset=dataset,
                condition=delivery.condition,
                purpose=delivery.purpose,
                until=delivery.until,
                fulfils=delivery.fulfils,
                reason=delivery.reason,
            )
    for row in database.scalars(_holding(external)).all():
        same = wanted.get(row.dataset)
        if same is not None and NewGrant.model_validate({k: getattr(row, k) for k in NewGrant.model_fields}) == same:
            del wanted[row.dataset]
        else:
            record.revoke(database, actor, row.id, delivery.reason, for_cause=delivery.for_cause)
    for new in wanted.values():
        record.add(database, actor, new, known, source=SOURCE, external_id=external)
