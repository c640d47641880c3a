"""Structured logs: one JSON object a line on standard error, of the hub and of the service alike.

Keys: ``time`` (UTC), ``level``, ``logger``, ``event``, where there is one ``request_id`` and ``user`` (an account name: the only thing
about a person), and what the event is about. Requests are told by their route, never by their path or query. Of an error the
text is kept only where it is one of ours, which hold no value; of another its type and where it was raised.
"""

import logging
import logging.config
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Final

import structlog

from cohortlab.errors import CohortlabError
from cohortlab_hub.operations.redaction import SECRET, clean

_SECRET_KEYS: Final = ("token", "secret", "password", "authorization", "cookie")
FORMATTER: Final = "cohortlab_hub.operations.logs.Lines"

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def _error(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put an exception into words: type, frames, and the text of one of ours."""
    given = event.pop("exc_info", None)
    if not given:
        return event
    kind, error, frames = given if isinstance(given, tuple) else (sys.exc_info() if given is True else (type(given), given, None))
    if kind is None or error is None:
        return event
    frames = frames or error.__traceback__
    event["error"] = kind.__name__
    if isinstance(error, CohortlabError):
        event["error_text"] = str(error)
    event["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(frames)]
    return event


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {str(key): SECRET if _secret(str(key)) else _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(inner) for inner in value]
    return value if isinstance(value, int | float | bool | None) else clean(str(value))


def _secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_KEYS)


def _redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    kept = {key: event.pop(key) for key in ("request_id", "timestamp") if key in event}
    done: MutableMapping[str, Any] = _cleaned(dict(event))
    return {**done, **kept}


def _order(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    first = {"time": event.pop("timestamp", None), "level": event.pop("level", None), "logger": event.pop("logger", None)}
    return {**first, "event": event.pop("event", ""), **event}


_SHARED: Final[list[structlog.typing.Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


class Lines(structlog.stdlib.ProcessorFormatter):
    """The formatter, made as `logging.config` makes one; it takes no format."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
        super().__init__(foreign_pre_chain=_SHARED, processors=[_error, _order, _redact, render])


def use_lines() -> None:
    """Have structlog's events go through `logging`, and warnings too."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logging.captureWarnings(True)


def of_service() -> None:
    """Configure the logs of the service's process."""
    use_lines()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": {"class": FORMATTER}},
            "handlers": {"lines": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "lines"}},
            "root": {"level": "WARNING", "handlers": ["lines"]},
            "loggers": {"cohortlab_hub": {"level": "INFO"}, "uvicorn": {"level": "WARNING"}},
        }
    )
