"""The gateway's routes as one function of plain values: what the Jupyter server, the hub and the widget's messages all call.

`split` tells what an address asks for, so that a server can decide on it first; `Api.reply` answers it. Both are the contract of
`cohortlab.viewer.gateway`.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from cohortlab.errors import (
    CohortlabError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    StorageError,
    UnavailableError,
)
from cohortlab.viewer.answers import NEVER, Answer, BusyError, RangeError, SliceRequest, Stop, TooLargeError, known, pairs, single, whole

if TYPE_CHECKING:
    from cohortlab.viewer.gateway import Gateway  # needs the image libraries; who only decides on addresses does not

type Kind = Literal["datasets", "meta", "slice", "volume", "thumbnail", "chunk"]

_OF_SERIES: dict[str, Kind] = {"meta": "meta", "slice": "slice", "volume": "volume", "thumbnail": "thumbnail"}
_STATUS: tuple[tuple[type[CohortlabError], HTTPStatus], ...] = (
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (BusyError, HTTPStatus.TOO_MANY_REQUESTS),
    (RangeError, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (InvalidInputError, HTTPStatus.BAD_REQUEST),
    (RefusedError, HTTPStatus.FORBIDDEN),
    (IntegrityError, HTTPStatus.CONFLICT),
    (StorageError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
)


@dataclass(frozen=True)
class Route:
    """What an address asks for."""

    kind: Kind
    dataset: str = ""
    series: str = ""
    key: str = ""


@dataclass(frozen=True)
class Asked:
    """A request: GET, or HEAD of a chunk; `path` below ``api/``, decoded; `query` as it came; `headers` by names in small letters."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What to send. `pixels`: how many bytes of image data are in it, for the count."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    pixels: int = field(default=0)


def split(path: str) -> Route:
    """The route of a path below ``api/``, decoded, without a slash before it. Raises `NotFoundError`."""
    parts = path.split("/")
    if parts == ["datasets"]:
        return Route("datasets")
    if parts[0] == "series" and len(parts) == 4 and parts[3] in _OF_SERIES:  # noqa: PLR2004 - series, dataset, series, what
        return Route(_OF_SERIES[parts[3]], parts[1], parts[2])
    if parts[0] == "series" and len(parts) > 4 and parts[3] == "chunk":  # noqa: PLR2004 - as above, and the key
        return Route("chunk", parts[1], parts[2], "/".join(parts[4:]))
    raise NotFoundError("There is nothing at this address.")


def datasets_of(asked: Asked) -> tuple[str, ...]:
    """The datasets that must be decided on: that of the path, first, and that of the image that labels are laid on.

    Raises `NotFoundError` for an address of none, `InvalidInputError` for a query that cannot be read.
    """
    own = split(asked.path).dataset
    image = single(pairs(asked.query)).get("on", "").rpartition("/")[0]
    return (own, image) if image and image != own else (own,)


def status_of(error: CohortlabError) -> HTTPStatus:
    """The status that an error is answered with."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(error: CohortlabError) -> Reply:
    """RFC 9457 problem JSON of one of our own errors."""
    status = status_of(error)
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "code": error.code, "detail": error.message}
    if error.hint:
        body["hint"] = error.hint
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Reply(int(status), headers, json.dumps(body).encode())


class Api:
    """Answers the contract's requests from `gateway`. `sent` is told of all pixels that go out: dataset, series, case, bytes."""

    def __init__(self, gateway: "Gateway", sent: Callable[[str, str, str, int], None] | None = None) -> None:
        self.gateway = gateway
        self._sent = sent

    def reply(self, asked: Asked, *, stop: Stop = NEVER, visible: Collection[str] | None = None) -> Reply:
        """The reply to one request; errors of ours become problems.

        Args:
            asked: the request.
            stop: set when nobody waits any more; then the reply does not matter.
            visible: the datasets that may be listed, all when not given. Whether one may be read was decided before.
        """
        try:
            route, query = split(asked.path), single(pairs(asked.query))
            if asked.method == "HEAD" and route.kind != "chunk":
                raise NotFoundError("Only chunks answer HEAD.")
            answer = self._answer(asked, route, query, stop) if route.kind != "datasets" else self._listed(query, visible)
        except CohortlabError as error:
            return problem(error)
        tag = f'"{answer.etag}"'
        out = {"Content-Type": answer.content_type, "ETag": tag, "X-Content-Type-Options": "nosniff", **answer.headers}
        if _same(asked.headers.get("if-none-match", ""), tag):
            return Reply(int(HTTPStatus.NOT_MODIFIED), {name: value for name, value in out.items() if name in {"ETag", "Cache-Control"}})
        pixels = len(answer.body) if answer.content_type != "application/json" else 0
        if pixels and self._sent is not None:
            self._sent(route.dataset, route.series, self.gateway.case(route.dataset, route.series), pixels)
        return Reply(answer.status, out, answer.body, pixels)

    def _listed(self, query: Mapping[str, str], visible: Collection[str] | None) -> Answer:
        known(query)
        return self.gateway.datasets(visible)

    def _answer(self, asked: Asked, route: Route, query: Mapping[str, str], stop: Stop) -> Answer:
        gateway, version = self.gateway, query.get("v", "")
        stop.check()
        match route.kind:
            case "slice":
                return gateway.slice(route.dataset, route.series, SliceRequest.from_query(query), stop)
            case "volume":
                known(query, "level", "t")
                level = whole(query, "level") if "level" in query else None
                return gateway.volume(route.dataset, route.series, level=level, frame=whole(query, "t"), version=version, stop=stop)
            case "thumbnail":
                known(query, "size")
                return gateway.thumbnail(route.dataset, route.series, size=whole(query, "size", 128), version=version, stop=stop)
            case "chunk":
                known(query)
                wanted, head = asked.headers.get("range"), asked.method == "HEAD"
                return gateway.object(route.dataset, route.series, route.key, wanted, version, head=head)
            case _:
                known(query)
                return gateway.meta(route.dataset, route.series)


def _same(header: str, tag: str) -> bool:
    """Whether ``If-None-Match`` (RFC 9110, 13.1.2: weak comparison) names `tag`."""
    return header.strip() == "*" or tag in {one.strip().removeprefix("W/") for one in header.split(",")}
