"""What a session that starts may mount: of its person's grants those that open a dataset, and of these those its profile offers."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from cohortlab.keys import create_key
from cohortlab.store.contracts import AccessCondition, ManifestFields, StoreObject
from cohortlab.store.manifest import sign_manifest
from cohortlab_hub import audit, records
from cohortlab_hub.access import NewGrant, Person, add
from cohortlab_hub.access.held import of_person
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.sessions.leases import open_for
from cohortlab_hub.sessions.settings import Profile
from cohortlab_hub.settings_file import load

SITU, REMOTE = AccessCondition.IN_SITU_PROCESSING, AccessCondition.REMOTE_PROCESSING
ANA = Person("ana", frozenset({"readers"}))


@pytest.fixture
def settings(tmp_path):
    """`open` and `more` may be opened in sessions; on `far` only jobs run, though its store is here."""
    key = create_key(tmp_path / "gate.key")
    for name in ("open", "more", "far"):
        (tmp_path / name).mkdir()
        fields = ManifestFields(
            title=name, access_condition=REMOTE if name == "far" else SITU, deidentification={}, gate="test", verdict="accepted"
        )
        note = StoreObject(path="clinical/note.txt", size=1, sha256="0" * 64)
        (tmp_path / name / "dataset.json").write_text(json.dumps(sign_manifest((name, "1.0.0"), fields, [], [note], key).to_json()))
    document = {
        "login": {"kind": "demo", "accounts": {"ana": {}}},
        "trusted_keys": [key.public.text],
        "datasets": {name: {"store": name} for name in ("open", "more", "far")},
    }
    (tmp_path / "workbench.yaml").write_text(yaml.safe_dump(document))
    return load(tmp_path / "workbench.yaml")


@pytest.mark.parametrize(
    ("granted", "offered", "mounted"),
    [
        ([], None, []),
        ([("ana", "open", SITU)], None, ["open"]),
        ([("bob", "open", SITU)], None, []),
        ([("ana", "open", REMOTE)], None, []),  # jobs on it are granted, and no more
        ([("ana", "far", SITU)], None, []),  # the dataset itself allows no more
        ([("ana", "open", SITU), ("ana", "more", SITU)], None, ["more", "open"]),
        ([("ana", "open", SITU), ("ana", "more", SITU)], ["more", "far"], ["more"]),  # what the profile offers
        ([("ana", "open", SITU)], [], []),
    ],
)
def test_what_is_mounted(settings, tmp_path, granted, offered, mounted):
    until = datetime.now(UTC) + timedelta(hours=1)
    with records.opened(f"sqlite:///{tmp_path}/records.sqlite") as database:
        for subject, dataset, condition in granted:
            new = NewGrant(subject=subject, dataset=dataset, condition=condition, until=until, reason="a test")
            add(database, "steward", new, set(settings.datasets))
        table = open_for(database, Catalogue(settings), ANA, Profile(datasets=offered))
        assert table == {name: tmp_path / name for name in mounted}
        held = of_person(database, "ana")
        assert [(row.dataset, row.condition, row.until) for row in held] == [(name, SITU.value, until) for name in mounted]
        (event,) = [one for one in audit.events(database) if one.action == "session.start"]
        assert sorted(event.details["grants"]) == mounted
