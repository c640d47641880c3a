"""What never stands in a log, whoever logged it; and that what an operator needs still does."""

import json
import logging
import sys

import pytest
import structlog

from cohortlab.errors import UnavailableError
from cohortlab_hub.operations import request_ids
from cohortlab_hub.operations.logs import Lines
from cohortlab_hub.operations.redaction import clean

TOKEN = "0123456789abcdef" * 2
JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: token {TOKEN}", TOKEN),
        (f"Authorization: Bearer {JWT}", JWT),
        (f"ticket {JWT} is over", "c2lnbmF0dXJl"),
        ("postgresql+psycopg://cohortlab:pa55word@db/records", "pa55word"),
        ("GET /hub/oauth_callback?code=4f5e&state=xyz (ana@192.0.2.7)", "4f5e"),
        ("302 GET /hub/login -> /hub/home?next=/user/ana/lab/tree/Doe", "Doe"),
        ("503 GET /user/ana/api/contents/Doe%5EJane.ipynb (ana@192.0.2.7)", "Doe"),
        ("404 GET /x (2001:db8::7)", "2001:db8"),
        ("404 GET /x (192.0.2.7) 1.0ms", "192.0.2.7"),
        ("client_secret='s3cr3t-word', scope=openid", "s3cr3t-word"),
        ('{"password": "hunter22"}', "hunter22"),
        ("Set-Cookie: x; cookie=abcdef0123", "abcdef0123"),
        (f"API token {TOKEN} was made", TOKEN),
    ],
)
def test_secrets_and_places_go(text, secret):
    assert secret in text
    assert secret not in clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "Spawning http://127.0.0.1:8000/hub/",
        f"job-{TOKEN} is queued, ticket-{TOKEN} was sent",
        "User ana took 3.071 seconds to start",
        "200 GET SpawnHandler (ana) 3.1ms",
        "8f14e45f-ceea-467f-a0d1-2d1b3c4d5e6f",
        "The session of ana was stopped: Your grant for prostatex ended on 2026-01-02 10:00 UTC.",
    ],
)
def test_what_an_operator_needs_stays(text):
    assert clean(text) == text


def line(**record):
    made = logging.LogRecord("cohortlab_hub.x", logging.WARNING, "/x.py", 1, record.pop("msg"), (), record.pop("exc_info", None))
    return json.loads(Lines().format(made))


def test_lines_are_json_with_the_requests_id_and_no_secret_value():
    structlog.contextvars.bind_contextvars(request_id=TOKEN)
    try:
        found = line(msg=f"it failed with token {TOKEN}")
    finally:
        structlog.contextvars.clear_contextvars()
    assert (found["level"], found["logger"], found["request_id"]) == ("warning", "cohortlab_hub.x", TOKEN)
    assert found["event"] == "it failed with token [secret]"
    assert found["time"].endswith("Z")


def raised(error):
    try:
        raise error
    except type(error):
        return sys.exc_info()


def test_the_text_of_an_error_is_kept_only_where_it_is_ours():
    other = line(msg="request.failed", exc_info=raised(ValueError("Doe^Jane, born 1970")))
    assert (other["error"], "Doe" in json.dumps(other)) == ("ValueError", False)
    assert any("test_operations_redaction.py" in frame for frame in other["frames"])
    ours = line(msg="request.failed", exc_info=raised(UnavailableError("JupyterHub does not answer.")))
    assert ours["error_text"] == "JupyterHub does not answer."


@pytest.mark.parametrize("given", ["a", "req-1.2_3", "0" * 64, "4bf92f3577b34da6a3ce929d0e0e4736"])
def test_a_modest_id_of_a_request_is_taken_over(given):
    assert request_ids.accepted(given) == given


@pytest.mark.parametrize("given", [None, "", "0" * 65, "a b", "a\nb", '"', "é", "-a", "<script>"])
def test_any_other_is_made_anew(given):
    made = request_ids.accepted(given)
    assert made != given
    assert len(made) == 16
