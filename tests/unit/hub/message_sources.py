"""Which messages there are: those of the templates, and the sentences that the rules say, read from their source."""

import ast
import re
from importlib import import_module
from pathlib import Path

from babel.messages.extract import extract_from_dir

import cohortlab_hub

ROOT = Path(cohortlab_hub.__file__).parent
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}
# modules whose sentences reach a page: decisions, notices, why a start failed
SAYING = [
    "access/grants.py",
    "access/held.py",
    "access/revocation.py",
    "access/rules.py",
    "access/watch.py",
    "pages/gpus.py",
    "pages/operators.py",
    "pages/stewards.py",
    "pages/base.py",
    "sessions/failures.py",
    "sessions/gpus.py",
    "sessions/keeper.py",
    "sessions/kubernetes.py",
    "sessions/local.py",
    "sessions/notices.py",
    "sessions/profiles.py",
    "sessions/queue.py",
]
_SENTENCE = re.compile(r"[A-Z{].* .*[.?]", re.DOTALL)
_REST = re.compile(r" \{\d\}$")  # a sentence of its own follows
_NAMED = re.compile(r"\{[a-z]")  # pydantic's own
_WORDS = [
    "is for {0}, {1}",
    "is bound to: {0} ({1}), {2}",
    "the project's purpose is {0}",
    "no purpose was stated",
    "a purpose of its own",
    "{0} ({1})",
    "{0} research",
    "{0} or {1}",
    "processors",
    "memory",
    "processors and memory",
    "Technical detail",
    "Invalid username or password",
]
"""What stands in sentences, or comes from JupyterHub."""


def of_templates() -> dict[str, tuple[str, ...]]:
    """Message -> its forms, of all templates."""
    options = {"**.html": {"silent": "false", "encoding": "utf-8", "newstyle_gettext": "true"}}
    method = [("**.html", "jinja2")]
    found: dict[str, tuple[str, ...]] = {}
    for _file, _line, message, _comments, _context in extract_from_dir(str(ROOT / "templates"), method, options, KEYWORDS):
        forms = (message,) if isinstance(message, str) else tuple(message)
        found[forms[0]] = forms
    return found


def _text(node: ast.AST) -> str | None:
    """A literal as the catalogue writes it: the places of an f-string as {0}, {1}."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        number, made = 0, ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                made += str(part.value)
            else:
                made += f"{{{number}}}"
                number += 1
        return made
    return None


def of_rules() -> set[str]:
    """The sentences that are said in `SAYING`, and the words that stand in them."""
    found: set[str] = set()
    for name in SAYING:
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
        inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # words about the code
        logged = [
            node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("self.log.", "_log."))
        ]
        inner |= {id(part) for node in logged for part in ast.walk(node)}
        inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in {"help", "description"}}
        texts = [_REST.sub("", text) for node in ast.walk(tree) if id(node) not in inner and (text := _text(node)) is not None]
        found |= {text for text in texts if _SENTENCE.fullmatch(text) and not _NAMED.search(text)}
    found |= set(_WORDS)
    rules, purposes = import_module("cohortlab_hub.access.rules"), import_module("cohortlab_hub.access.purposes")
    found |= {*rules._ALLOWS.values(), *purposes._MEANING.values(), *purposes._OBLIGATIONS.values(), *purposes._NEEDS.values()}
    found |= {words for _, words in purposes._FORBIDS.values()}
    return found
