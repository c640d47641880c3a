"""Which language a request is in: what its person chose (a cookie), else the browser's Accept-Language (RFC 9110, 12.5.4)."""

from typing import Any

from cohortlab_hub.texts.catalogue import ENGLISH, languages

COOKIE = "cohortlab-language"
_LONGEST = 1000  # characters of the header that are looked at


def preferred(header: str, known: dict[str, str]) -> str:
    """The language of `known` that an Accept-Language `header` likes best; English where it likes none of them.

    A regional form (es-MX) is served by its language. What is not of the header's form is passed over.
    """
    best, weight = ENGLISH, 0.0
    for part in header[:_LONGEST].split(","):
        tag, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = _quality(parameters)
        language = tag.partition("-")[0]
        if language in known and quality > weight:
            best, weight = language, quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def of_request(handler: Any) -> str:
    """The language of a tornado request, by its `handler`."""
    chosen = handler.get_cookie(COOKIE)
    if chosen in languages():
        return str(chosen)
    return preferred(handler.request.headers.get("Accept-Language", ""), languages())
