"""The reader's choice of a language, kept in a cookie."""

from jupyterhub.handlers.base import BaseHandler

from cohortlab_hub.texts import COOKIE, languages

_DAYS = 365


class Language(BaseHandler):  # type: ignore[misc]  # jupyterhub has no types
    """``language?to=es&next=…``: from now on in that language, and back to where one was. `next` leads to no other host."""

    def get(self) -> None:
        """Keep it. A language that is not there means the browser's own choice again."""
        to = self.get_query_argument("to", "")
        if to in languages():
            options = {"path": self.hub.base_url, "expires_days": _DAYS, "httponly": True, "samesite": "Lax"}
            self.set_cookie(COOKIE, to, secure=self.request.protocol == "https", **options)
        else:
            self.clear_cookie(COOKIE, path=self.hub.base_url)
        self.redirect(self.get_next_url(default=self.hub.base_url + "home"))
