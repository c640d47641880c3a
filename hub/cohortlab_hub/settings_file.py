"""Reads workbench.yaml: YAML without duplicate keys, then the model; every error with its path in the file."""

import difflib
from collections.abc import Hashable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab_hub.sessions.settings import wrong_names
from cohortlab_hub.settings import Settings

_SPOKEN = {
    "extra_forbidden": "There is no such key.",
    "missing": "This key is needed.",
}


class SettingsError(InvalidInputError):
    """workbench.yaml is wrong. `problems` are pairs (path in the file, what is wrong)."""

    code = "invalid-settings"

    def __init__(self, file: Path, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        lines = "\n".join(f"  {path}: {text}" if path else f"  {text}" for path, text in problems)
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        super().__init__(f"{file} has {count}:\n{lines}", hint="Nothing was started. `cohortlab check FILE` reads it again.")


class _Loader(yaml.SafeLoader):
    """YAML's safe types; a key that stands twice in one mapping is an error, not a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands here twice", key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


def load(file: Path) -> Settings:
    """Settings of `file`. Raises `NotFoundError`, or `SettingsError` with every error in it."""
    file = file.expanduser().resolve()
    return parse(_read(file), file)


def parse(data: Any, file: Path) -> Settings:
    """Settings from the document `data` of `file`. Raises `SettingsError` with every error in it."""
    cluster = isinstance(data, dict) and bool(data.get("kubernetes"))
    try:
        settings = Settings.model_validate(data, context={"folder": file.parent, "cluster": cluster})
    except ValidationError as error:
        raise SettingsError(file, [_problem(entry["loc"], entry["type"], entry["msg"]) for entry in error.errors()]) from None
    problems = _unknown_names(settings) + wrong_names(settings)
    if problems:
        raise SettingsError(file, problems)
    return settings


def _unknown_names(settings: Settings) -> list[tuple[str, str]]:
    """Names that one part of the file uses and another does not have."""
    sites = [
        (f"datasets.{name}.sites.{number}", f"There is no site {site} under federation.sites.")
        for name, dataset in settings.datasets.items()
        for number, site in enumerate(dataset.sites)
        if site not in settings.sites
    ]
    samples = [
        (f"datasets.{name}.sample", "A sample is another dataset of this file, with a `store`.")
        for name, dataset in settings.datasets.items()
        if dataset.sample is not None and (dataset.sample not in settings.datasets or settings.datasets[dataset.sample].remote)
    ]
    granted = [
        (f"access.negotiators.{name}.datasets.{number}", f"There is no dataset {dataset}.")
        for name, negotiator in settings.access.negotiators.items()
        for number, dataset in enumerate(negotiator.datasets)
        if dataset not in settings.datasets
    ]
    return sites + samples + granted


def _read(file: Path) -> Any:
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {file}.", hint="Give the path of a workbench.yaml.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(file, [(where, f"This is no YAML: {error.problem}.")]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(file, [("", f"The file cannot be read: {type(error).__name__}.")]) from None


def _problem(loc: tuple[int | str, ...], kind: str, message: str) -> tuple[str, str]:
    loc = tuple(part for part in loc if part != "[key]")  # pydantic's mark of an error in a key itself
    if loc[:1] == ("login",) and kind.startswith("union_tag"):
        return "login.kind", _SPOKEN["missing"] if kind == "union_tag_not_found" else "Input should be 'demo' or 'oidc'."
    if loc[:1] == ("login",) and loc[1:2] in {("demo",), ("oidc",)}:  # pydantic's name of the kind, no key of the file
        loc = (loc[0], *loc[2:])
    text = _SPOKEN.get(kind, message.removeprefix("Value error, "))
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), _fields(loc[:-1]), n=1)
        text += f" Do you mean `{near[0]}`?" if near else ""
    return ".".join(str(part) for part in loc), text if text.endswith((".", "?")) else text + "."


def _fields(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the model knows at `loc`."""
    kind: Any = Settings
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
            models = [k for k in get_args(kind) if isinstance(k, type) and issubclass(k, BaseModel)]
            values = [k for k in get_args(kind) if k is not type(None)]
            kind = models[-1] if models and len(values) == 1 else kind
        else:  # a mapping from names
            kind = get_args(kind)[-1] if get_args(kind) else None
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
