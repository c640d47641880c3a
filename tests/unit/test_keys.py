import stat

import pytest

from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError
from cohortlab.keys import PublicKey, canonical_json, create_key, load_key, verify_any

ANOTHER = "ed25519:" + "A" * 43


def test_a_key_is_made_once_private_to_its_owner(tmp_path):
    made = create_key(tmp_path / "keys" / "gate.key")
    again = create_key(tmp_path / "keys" / "gate.key")
    assert made.id == again.id == load_key(tmp_path / "keys" / "gate.key").id
    assert stat.S_IMODE((tmp_path / "keys" / "gate.key").stat().st_mode) == 0o600
    assert (tmp_path / "keys" / "gate.pub").read_text().strip() == made.public.text


def test_signature_holds_for_the_message_and_no_other(tmp_path):
    key = create_key(tmp_path / "gate.key")
    signature = key.sign(b"message")
    PublicKey(key.public.text).verify(signature, b"message")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for text, message in [(signature, b"massage"), (flipped, b"message"), ("", b"message"), ("not base64!", b"message")]:
        with pytest.raises(IntegrityError):
            key.public.verify(text, message)


def test_only_a_trusted_key_verifies(tmp_path):
    ours, other = create_key(tmp_path / "a.key"), create_key(tmp_path / "b.key")
    signature = ours.sign(b"x")
    assert verify_any([other.public, ours.public], ours.id, signature, b"x").id == ours.id
    with pytest.raises(IntegrityError, match="not trusted"):
        verify_any([other.public], ours.id, signature, b"x")
    with pytest.raises(IntegrityError):
        verify_any([other.public], other.id, signature, b"x")


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:AAAA", "rsa:" + "A" * 43, "A" * 43, ANOTHER + "AAAA"])
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(InvalidInputError):
        PublicKey(text)


def test_loading_says_what_is_wrong(tmp_path):
    with pytest.raises(NotFoundError):
        load_key(tmp_path / "absent.key")
    (tmp_path / "text.key").write_text("no key")
    with pytest.raises(InvalidInputError):
        load_key(tmp_path / "text.key")


def test_a_private_key_does_not_print(tmp_path):
    key = create_key(tmp_path / "gate.key")
    assert repr(key) == f"<PrivateKey {key.id}>"


def test_canonical_json_has_one_spelling():
    assert canonical_json({"b": 1, "a": ["é", None]}) == '{"a":["é",null],"b":1}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))
