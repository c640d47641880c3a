"""workbench.yaml: what is right, and each error with its path."""

import json
import subprocess
import sys

import pytest
import yaml

from cohortlab.errors import NotFoundError
from cohortlab.keys import create_key
from cohortlab_hub.settings_file import SettingsError, load


@pytest.fixture
def document(tmp_path):
    """A right document whose files are in tmp_path."""
    key = create_key(tmp_path / "hub.key")
    (tmp_path / "store").mkdir()
    (tmp_path / "token").write_text("x")
    return {
        "state": "state",
        "login": {"kind": "demo", "accounts": {"researcher": {"groups": ["researchers"]}}},
        "trusted_keys": [key.public.text],
        "datasets": {"scans": {"store": "store"}, "far": {"sites": ["north"]}},
        "federation": {"key": "hub.key", "sites": {"north": {"token": "token"}}, "projects": {"study": {"members": ["researcher"]}}},
    }


def write(folder, document):
    file = folder / "workbench.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return file


def problems(folder, document):
    with pytest.raises(SettingsError) as caught:
        load(write(folder, document))
    return dict(caught.value.problems)


def test_paths_are_relative_to_the_file(tmp_path, document, monkeypatch):
    monkeypatch.chdir("/")
    settings = load(write(tmp_path, document))
    assert settings.state == tmp_path / "state"
    assert settings.datasets["scans"].store == tmp_path / "store"
    assert settings.database_url == f"sqlite:///{tmp_path}/state/hub/records.sqlite"
    assert settings.datasets["far"].remote
    assert not settings.datasets["scans"].remote


def put(document, path, value):
    *outer, last = path.split(".")
    for step in outer:
        document = document.setdefault(step, {})
    document[last] = value


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        ("datasets.scans.stroe", "x", "datasets.scans.stroe", "no such key. Do you mean `store`?"),
        ("titel", "x", "titel", "Do you mean `title`?"),
        ("federation.sites.north.confg", "x", "federation.sites.north.confg", "Do you mean `config`?"),
        ("something", "x", "something", "There is no such key."),
        ("listen.port", 70000, "listen.port", "less than or equal to 65535"),
        ("listen.host", "0.0.0.0", "login", "set listen.host to 127.0.0.1"),  # noqa: S104 - what must be refused
        ("listen.host", "hub.example.org", "login", "set listen.host to 127.0.0.1"),
        ("datasets.scans.store", "nowhere", "datasets.scans.store", "no folder"),
        ("datasets.scans.sites", ["north"], "datasets.scans", "either `store`"),
        ("datasets.empty", {}, "datasets.empty", "either `store`"),
        ("datasets.UPPER", {"sites": ["north"]}, "datasets.UPPER", "lowercase letters"),
        ("datasets.far", {"sites": ["../x"]}, "datasets.far.sites.0", "lowercase letters"),
        ("datasets.far", {"sites": ["south"]}, "datasets.far.sites.0", "no site south"),
        ("trusted_keys", ["ed25519:short"], "trusted_keys.0", "Not a public key"),
        ("trusted_keys", [], "trusted_keys", "at least 1 item"),
        ("login.kind", "none", "login.kind", "Input should be 'demo'"),
        ("login.accounts", {"../x": {}}, "login.accounts.../x", "lowercase letters"),
        ("federation.key", "no.key", "federation.key", "no file"),
        ("federation.projects.study.purpose", "lung", "federation.projects.study.purpose", "DUO"),
        ("database", "mysql://x", "database", "pattern"),
    ],
)
def test_each_error_has_its_path(tmp_path, document, path, value, where, says):  # noqa: PLR0917 - the columns of the table
    put(document, path, value)
    found = problems(tmp_path, document)
    assert where in found, found
    assert says in found[where]


def test_all_errors_are_told_at_once(tmp_path, document):
    put(document, "listen.port", "many")
    put(document, "datasets.scans.stroe", "x")
    del document["trusted_keys"]
    found = problems(tmp_path, document)
    assert set(found) == {"listen.port", "datasets.scans.stroe", "trusted_keys"}
    assert found["trusted_keys"] == "This key is needed."


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("a: [1, 2", "line 1, column 9", "no YAML"),
        ("title: x\ntitle: y\n", "line 2, column 1", "'title' stands here twice"),
        ("login: {kind: demo, kind: demo}\n", "line 1, column 21", "'kind' stands here twice"),
        ("- 1", "", "valid dictionary"),
        ("!!python/object/apply:os.getcwd []", "line 1, column 1", "could not determine a constructor"),
        ("? [a]\n: b", "line 1, column 3", "no YAML"),
        ("", "", "valid dictionary"),
    ],
)
def test_what_is_no_settings_file(tmp_path, text, where, says):
    found = problems(tmp_path, text)
    assert says in found[where], found


def test_no_file(tmp_path):
    with pytest.raises(NotFoundError, match="no file"):
        load(tmp_path / "none.yaml")


def check(*arguments):
    code = "import sys, typer; from cohortlab.cli import build; from cohortlab_hub.commands import check; typer.run(check)"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_check_command_for_machines(tmp_path, document):
    file = write(tmp_path, document)
    right = check(file, "--json")
    assert (right.returncode, json.loads(right.stdout)["ok"]) == (0, True)
    put(document, "listen.port", -1)
    wrong = check(write(tmp_path, document), "--json")
    assert wrong.returncode == 1
    assert json.loads(wrong.stdout)["errors"] == [{"path": "listen.port", "message": "Input should be greater than or equal to 0."}]
