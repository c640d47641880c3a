"""``python -m cohortlab.starts MODULE …``: as ``python -m MODULE …``, without a second that hubs and sessions have no use for.

jupyter_events loads all of jsonschema's formats; for one of them, ``iri``, rfc3987_syntax makes an Earley parser at its import: more than
a second of processor time, for what neither a hub nor a session checks. Here that parser is made when somebody does check one.
"""

import runpy
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

_NAME = "rfc3987_syntax"


def _postpone() -> None:
    """Put a module in the place of rfc3987_syntax that gives way to it at its first use."""
    if _NAME in sys.modules or find_spec(_NAME) is None:
        return

    def is_valid_syntax(term: str, value: str) -> bool:
        if sys.modules.get(_NAME) is here:
            del sys.modules[_NAME]
        return bool(import_module(_NAME).is_valid_syntax(term, value))

    here = ModuleType(_NAME)
    here.__dict__["is_valid_syntax"] = is_valid_syntax
    sys.modules[_NAME] = here


if __name__ == "__main__":
    _postpone()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
