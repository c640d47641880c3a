"""HTTP of the pixels room: the contract of `cohortlab.viewer.gateway`, with a token instead of a cookie.

The routes are listed one by one for the OpenAPI document; what they answer is the gateway's, so a viewer meets the same everywhere.
``X-Cohortlab-Purpose`` states the purpose of looking, a DUO code, for grants that are bound to one.
"""

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from cohortlab.errors import CohortlabError
from cohortlab.viewer.api import Asked, Reply, problem
from cohortlab_hub.access.routes import person
from cohortlab_hub.identity import Caller
from cohortlab_hub.pixels.reports import router as reports
from cohortlab_hub.pixels.room import Room

router = APIRouter(prefix="/pixels", tags=["pixels"])
router.include_router(reports)

_HEADERS: Final = ("if-none-match", "range", "x-cohortlab-purpose")
_SERIES: Final = "/series/{dataset}/{series}"
_WHOLE: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}
_ROUTES: Final[tuple[tuple[str, str, dict[str, dict[str, Any]]], ...]] = (
    ("/datasets", "The datasets that I may look at, with their series.", {}),
    (f"{_SERIES}/meta", "What a viewer must know of a series.", {"v": _TEXT}),
    (
        f"{_SERIES}/slice",
        "One slice: raw little-endian values, or a picture.",
        {
            "plane": _TEXT, "index": _WHOLE, "level": _WHOLE, "t": _WHOLE, "region": _TEXT, "format": {"enum": ["raw", "webp"]},
            "center": {"type": "number"}, "width": {"type": "number"}, "on": _TEXT, "segment": _WHOLE, "v": _TEXT,
        },
    ),
    (f"{_SERIES}/volume", "A whole level: raw little-endian values.", {"level": _WHOLE, "t": _WHOLE, "v": _TEXT}),
    (f"{_SERIES}/thumbnail", "A small picture of the middle slice.", {"size": _WHOLE, "v": _TEXT}),
    (f"{_SERIES}/chunk/{{key:path}}", "An object of the series' Zarr group, or a range of it. Needs DOWNLOAD.", {"v": _TEXT}),
)  # fmt: skip


async def _gone(request: Request) -> None:
    """Done when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def answer(request: Request, caller: Caller) -> Response:
    """Decide and answer one request for pixels."""
    room: Room = request.app.state.pixels
    path = request.scope["path"].partition("/api/v1/pixels/")[2]
    headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
    gone = asyncio.ensure_future(_gone(request))
    try:
        reply = await room.ask(person(caller), Asked(request.method, path, request.url.query, headers), gone)
    except CohortlabError as error:
        reply = problem(error)
    finally:
        gone.cancel()
    return _response(reply or Reply(499, {}))


def _response(reply: Reply) -> Response:
    # another person at the same browser has another token, and must not be shown what the first one's cache holds
    return Response(reply.body, reply.status, {**reply.headers, "Vary": "Authorization"})


for _path, _summary, _query in _ROUTES:
    _parameters = [{"name": name, "in": "query", "schema": schema} for name, schema in _query.items()]
    router.add_api_route(
        _path,
        answer,
        methods=["GET", "HEAD"] if "chunk" in _path else ["GET"],
        summary=_summary,
        response_class=Response,
        name=f"pixels {_path.rsplit('/', 1)[-1]}",
        operation_id=f"pixels_{_path.split('/')[3] if 'series' in _path else 'datasets'}",
        openapi_extra={"parameters": _parameters},
    )
router.add_api_route("/{path:path}", answer, methods=["GET"], include_in_schema=False, response_class=Response)
