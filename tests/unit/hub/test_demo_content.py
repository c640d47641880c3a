"""The demo's accounts: each kind of user is one of them, and README.md lists the same."""

import re
from pathlib import Path

from cohortlab.keys import create_key
from cohortlab_hub.demo import content
from cohortlab_hub.pages.roles import roles
from cohortlab_hub.settings import Settings

README = Path(__file__).resolve().parents[3] / "README.md"


def test_a_steward_and_an_operator_are_among_the_accounts(tmp_path):
    document = content.workbench([], create_key(tmp_path / "gate.key").public.text, content.PORT)
    settings = Settings.model_validate({key: document[key] for key in ("title", "login", "trusted_keys")} | {"state": tmp_path})
    found = {name: roles(settings, account.groups) for name, account in settings.accounts.items()}
    assert found == {"researcher": set(), "trainer": set(), "clinician": set(), "steward": {"steward"}, "operator": {"operator"}}
    assert list(found) == list(content.ACCOUNTS)


def test_the_readme_lists_the_accounts():
    text = README.read_text(encoding="utf-8")
    table = text.split("| account | sees |", 1)[1].split("\n\n", 1)[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(content.ACCOUNTS)
