"""Federated jobs from end to end: real hub, proxy and service, three sites as processes of their own."""

import json
import signal
import subprocess
import threading

import httpx
import numpy as np
import psutil
import pytest
from workplace import COMMAND, DATASET, MINIMUM, PROJECT, SUBJECTS, hounsfield, until

from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError, RefusedError
from cohortlab.federation import jobs
from cohortlab.federation.contracts import JobState
from cohortlab.federation.launch import JobForm


def reasons(job):
    return {site.site: site.reason.value if site.reason else None for site in job.refresh().view.sites}


def running(job, site):
    """Wait until `site` computes."""
    until(lambda: {s.site: s.state.value for s in job.refresh().view.sites}[site] == "running", f"{site} runs {job.id}")


@pytest.mark.usefixtures("sites")
def test_two_of_three_sites_and_the_numbers_are_those_of_the_pooled_data(workplace):
    job = workplace.submit().wait(60)
    assert job.state is JobState.PARTIAL
    assert job.summary == "2 of 3 sites"
    assert reasons(job) == {"north": None, "south": None, "west": "project-not-allowed"}
    result = job.result()
    assert set(result.sites) == {"north", "south"}
    values = hounsfield(["north", "south"])
    assert result.count == values.size
    assert result.merged.subjects == SUBJECTS["north"] + SUBJECTS["south"]
    shown_values, suppressed = [], 0
    for name, site in result.sites.items():
        own = hounsfield([name])
        counts, edges = np.histogram(own, 20, (-200, 280))
        shown = [None if cell is None else int(count) for cell, count in zip(site.counts, counts, strict=True)]
        assert list(site.counts) == shown
        assert all(count is None or count == 0 or count >= MINIMUM for count in (*site.counts, site.below, site.above))
        assert [count for count, cell in zip(counts, site.counts, strict=True) if 0 < count < MINIMUM and cell is not None] == []
        suppressed += site.suppressed
        index = np.clip(np.searchsorted(edges, own, side="right"), 0, 21)
        cells = np.array([site.below is not None, *(c is not None for c in site.counts), site.above is not None])
        shown_values.append(own[cells[index]])
    assert suppressed == result.suppressed > 0
    pooled = np.concatenate(shown_values)
    assert result.mean == pytest.approx(pooled.mean(), rel=1e-12)
    assert result.sd == pytest.approx(pooled.std(), rel=1e-9)
    assert "2 of 3 sites" in repr(result)
    assert "hatched" in result.svg()
    json.dumps(result.to_dict())
    states = [event.state for event in job.events() if event.site == ""]
    assert states == ["submitted", "approving", "queued", "starting", "running", "aggregating", "releasing", "partial"]


@pytest.mark.usefixtures("sites")
def test_the_command_does_the_same(workplace):
    environment = {"COHORTLAB_SERVICE_URL": f"{workplace.base}services/cohortlab/", "JUPYTERHUB_API_TOKEN": workplace.token["researcher"]}

    def run(*arguments):
        return subprocess.run([*COMMAND, "jobs", *arguments], env=environment, capture_output=True, text=True, check=False)

    done = run("submit", DATASET, "--wait", "--json", "--parameter", "bins=4", "--parameter", "low=-500", "--parameter", "high=500")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)["job"]
    assert (job["state"], job["summary"]) == ("partial", "2 of 3 sites")
    assert "2 of 3 sites" in run("show", job["id"]).stdout
    assert job["id"] in run("list").stdout
    over = run("cancel", job["id"])
    assert (over.returncode, "over" in over.stderr) == (1, True)
    wrong = run("submit", DATASET, "--parameter", "bins=none")
    assert (wrong.returncode, "bins" in wrong.stderr) == (1, True)


@pytest.mark.usefixtures("sites")
def test_who_may_not_is_told_why_and_sees_nothing(workplace):
    with pytest.raises(RefusedError, match="no grant"):
        workplace.submit(line=workplace.line("clinician"))
    with pytest.raises(RefusedError, match=r"other-study.*demo-study"):
        workplace.submit(project="other-study")
    with pytest.raises(RefusedError, match="no grant"):
        workplace.submit(dataset="unknown")
    with pytest.raises(NotFoundError, match="east"):
        workplace.submit(sites=["east"])
    with pytest.raises(NotFoundError, match="no task"):
        workplace.submit(task="train")
    with pytest.raises(InvalidInputError, match="bins"):
        workplace.submit(parameters={"bins": 10**6})
    with pytest.raises(InvalidInputError, match="dataset"):
        workplace.submit(dataset="../../etc")
    assert jobs.federation(workplace.line("clinician")).datasets == ()
    mine = workplace.submit(sites=["west"]).wait(30)
    with pytest.raises(NotFoundError, match="no such job"):
        jobs.get(mine.id, line=workplace.line("clinician"))
    with pytest.raises(NotFoundError):
        jobs.Job(workplace.line("clinician"), mine.view).cancel()
    assert mine.id not in [job.id for job in jobs.list(line=workplace.line("clinician"))]
    with pytest.raises(NotFoundError, match="no result") as error:
        mine.result()
    assert error.value.code == "no-result"
    assert mine.state is JobState.REFUSED


def call(workplace, method, path, token, **more):
    headers = {"Authorization": f"token {token}"} if token else {}
    return httpx.request(method, f"{workplace.base}services/cohortlab/api/v1/{path}", headers=headers, trust_env=False, **more)


@pytest.mark.usefixtures("sites")
def test_sites_and_people_cannot_take_each_others_part(workplace):
    job = workplace.submit(sites=["north"]).wait(30)
    tokens = {name: (workplace.folder / "sites" / name / "token").read_text() for name in ("north", "south")}
    ticket = next(iter((workplace.folder / "sites/north/state/tickets").glob("*.json"))).stem
    release = {"ticket": ticket, "job": job.id, "state": "refused", "reason": "too-few-subjects"}
    path = f"sites/self/tickets/{ticket}/release"
    assert call(workplace, "GET", "sites/self/work", workplace.token["researcher"]).status_code == 403
    assert call(workplace, "GET", "sites/self/work", "nonsense").status_code == 401
    assert call(workplace, "GET", "sites/self/work", None).status_code == 401
    assert call(workplace, "POST", path, workplace.token["researcher"], json=release).status_code == 403
    assert call(workplace, "POST", path, tokens["south"], json=release).status_code == 404
    # its own, but over: the last word stays the last word
    assert call(workplace, "POST", path, tokens["north"], json=release | {"job": job.id}).status_code in {409, 422}
    assert job.refresh().state is JobState.SUCCEEDED
    spec = {"dataset": DATASET, "project": PROJECT}
    assert call(workplace, "POST", "jobs", tokens["north"], json=spec).status_code == 403
    assert call(workplace, "GET", f"jobs/{job.id}", tokens["north"]).status_code == 404
    assert call(workplace, "POST", "jobs", workplace.token["researcher"], json=spec | {"owner": "steward"}).status_code == 422


@pytest.mark.usefixtures("sites")
def test_the_same_key_is_the_same_job(workplace):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(workplace.submit(idempotency_key="once", sites=["west"]))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert len({job.id for job in answers}) == 1
    with pytest.raises(InvalidInputError, match="another job"):
        workplace.submit(idempotency_key="once", sites=["north"])


def test_cancel_kills_the_computation(workplace, sites):
    runner = sites["north"].runner()
    runner.send_signal(signal.SIGSTOP)  # a computation that takes for ever
    job = workplace.submit(sites=["north", "west"])
    running(job, "north")
    assert job.cancel().state is not JobState.CANCELLED
    job.wait(20)
    assert job.state is JobState.CANCELLED
    assert reasons(job)["north"] == "cancelled"
    until(lambda: not runner.is_running(), "the runner's end")
    with pytest.raises(IntegrityError, match="over"):
        job.cancel()
    again = workplace.submit(sites=["north"]).wait(60)
    assert again.state is JobState.SUCCEEDED


@pytest.mark.usefixtures("alone")
def test_a_job_that_no_site_fetched_is_cancelled_at_once(workplace):
    assert workplace.submit().cancel().state is JobState.CANCELLED


def test_a_site_killed_in_the_middle_starts_again_and_releases_once(workplace, sites):
    site = sites["north"]
    runner = site.runner()
    runner.send_signal(signal.SIGSTOP)
    job = workplace.submit(sites=["north"])
    running(job, "north")
    _, helpers = site.stop(signal.SIGKILL)
    runner.send_signal(signal.SIGCONT)
    until(lambda: not any(helper.is_running() for helper in helpers), "the end of its helpers")
    site.start()
    job.wait(60)
    assert job.state is JobState.SUCCEEDED
    assert [event.state for event in job.events() if event.site == "north"].count("released") == 1
    assert job.result().count == hounsfield(["north"]).size


def test_a_site_killed_twice_in_the_middle_says_lost(workplace, sites):
    site = sites["north"]
    site.runner().send_signal(signal.SIGSTOP)
    job = workplace.submit(sites=["north", "south"])
    running(job, "north")
    # its journal says that this was the second attempt
    stopped = site.helpers()
    site.stop(signal.SIGKILL)
    for helper in stopped:
        helper.kill()
    entry = next(p for p in (site.folder / "state/tickets").glob("*.json") if job.id in p.read_text())
    entry.write_text(entry.read_text().replace('"attempts":1', '"attempts":2'))
    site.start()
    job.wait(60)
    assert job.state is JobState.PARTIAL
    assert reasons(job) == {"north": "site-restarted", "south": None}


def test_a_site_that_falls_silent_is_lost(workplace, sites):
    site = sites["south"]
    site.runner().send_signal(signal.SIGSTOP)
    job = workplace.submit(sites=["north", "south"])
    running(job, "south")
    for helper in site.helpers():
        helper.kill()
    site.stop(signal.SIGKILL)
    job.wait(60)
    assert job.state is JobState.PARTIAL
    assert reasons(job) == {"north": None, "south": "site-silent"}
    # Its late answer changes nothing, and it can work again.
    site.start()
    assert workplace.submit(sites=["south"]).wait(60).state is JobState.SUCCEEDED
    assert reasons(job)["south"] == "site-silent"


def test_the_hubs_service_restarts_in_the_middle(workplace, sites):
    runner = sites["north"].runner()
    runner.send_signal(signal.SIGSTOP)
    job = workplace.submit(sites=["north"])
    running(job, "north")
    service = workplace.service_process()
    service.kill()
    until(lambda: not service.is_running(), "the end of the service")
    runner.send_signal(signal.SIGCONT)
    job.wait(90)
    assert job.state is JobState.SUCCEEDED
    assert job.result().count == hounsfield(["north"]).size


def test_a_time_limit_ends_a_computation(workplace, alone):
    site = alone["north"]
    site.configure(time_limit=1.0)
    site.start().ready()
    try:
        runner = site.runner()
        runner.send_signal(signal.SIGSTOP)
        job = workplace.submit(sites=["north"]).wait(30)
        assert job.state is JobState.FAILED
        assert reasons(job) == {"north": "time-limit"}
        until(lambda: not runner.is_running(), "the runner's end")
    finally:
        site.configure(time_limit=3600)


def test_the_policy_counts_at_once_and_too_few_subjects_are_refused(workplace, sites):
    sites["south"].policy([PROJECT], minimum_subjects=4)
    try:
        job = workplace.submit().wait(60)
        assert reasons(job) == {"north": None, "south": "too-few-subjects", "west": "project-not-allowed"}
        assert job.summary == "1 of 3 sites"
        sites["south"].folder.joinpath("policy.yaml").write_text("projects: [")
        assert reasons(workplace.submit(sites=["south"]).wait(60))["south"] == "policy-unreadable"
    finally:
        sites["south"].policy([PROJECT])


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda store: next(store.rglob("c/*/*/*")).write_bytes(b"\0" * 100), "dataset-not-trusted"),
        (lambda store: next(store.rglob("c/*/*/*")).unlink(), "dataset-not-trusted"),
        (lambda store: (store / "dataset.json").write_text("{}"), "dataset-not-trusted"),
        (lambda store: (store / "dataset.json").unlink(), "dataset-not-here"),
    ],
)
def test_a_store_that_was_tampered_with_is_not_computed_on(workplace, sites, harm, reason):
    store = sites["south"].folder / "stores" / DATASET / "1.0.0"
    kept = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    for path in (store, *store.rglob("*")):
        path.chmod(0o755)
    try:
        harm(store)
        assert reasons(workplace.submit(sites=["south"]).wait(60)) == {"south": reason}
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


@pytest.mark.usefixtures("sites")
def test_no_image_matches(workplace):
    assert reasons(workplace.submit(sites=["south"], parameters={"modality": "PT"}).wait(60)) == {"south": "no-matching-series"}
    assert reasons(workplace.submit(sites=["south"], parameters={"region": "segmentation"}).wait(60)) == {"south": "no-matching-series"}


def test_a_ticket_of_another_key_is_refused_by_the_site(workplace, alone):
    site = alone["north"]
    site.configure(ticket_keys=[workplace.gate_key.public.text])
    site.start()
    try:
        assert reasons(workplace.submit(sites=["north"]).wait(30)) == {"north": "ticket-invalid"}
    finally:
        site.configure(ticket_keys=[workplace.hub_key.public.text])


def test_a_ticket_is_good_at_its_own_site_only(workplace, alone):
    site = alone["north"]
    site.configure(name="south")  # fetches north's tickets, takes itself for south
    site.start()
    try:
        assert reasons(workplace.submit(sites=["north"]).wait(30)) == {"north": "ticket-other-site"}
    finally:
        site.configure(name="north")


def test_sigterm_ends_a_site_clean_and_leaves_no_process(workplace, alone):
    site = alone["west"].start().ready()
    code, helpers = site.stop()
    assert code == 0
    assert len(helpers) == 2
    assert not any(helper.is_running() for helper in helpers)
    assert psutil.pid_exists(workplace.process.pid)


def test_site_check_says_what_is_wrong(workplace):
    site = workplace.sites["west"]

    def check():
        done = subprocess.run(
            [*COMMAND, "site", "check", "--config", str(site.file), "--json"], capture_output=True, text=True, check=False
        )
        return done.returncode, {finding["what"]: finding["problem"] for finding in json.loads(done.stdout)}

    code, findings = check()
    assert (code, set(findings.values())) == (0, {""})
    assert f"store {DATASET} 1.0.0" in findings
    site.configure(service_url=f"{workplace.base}nothing/here/")
    (site.folder / "token").chmod(0o644)
    try:
        code, findings = check()
        assert code == 1
        assert "others" in findings["token"]
        assert findings["hub"]
    finally:
        site.configure(service_url=f"{workplace.base}services/cohortlab/")
        (site.folder / "token").chmod(0o600)


@pytest.mark.usefixtures("sites")
def test_a_long_poll_ends_when_there_is_nothing_to_wait_for(workplace):
    job = workplace.submit(sites=["north"]).wait(60)
    last = job.events()[-1].seq
    # The client gives up after its 5 seconds, so that an answer shows that the job's end was not waited for.
    answer = call(workplace, "GET", f"jobs/{job.id}/events?after={last}&wait=20", workplace.token["researcher"])
    assert answer.json()["events"] == []
    token = (workplace.folder / "sites" / "north" / "token").read_text()
    assert call(workplace, "GET", "sites/self/work?wait=1.5", token).json() == {"items": [], "cancel": []}


@pytest.mark.usefixtures("sites")
def test_the_form_submits_follows_and_shows_numbers_only(workplace):
    form = JobForm(workplace.line(), jobs.federation(workplace.line()), {})
    chosen = {"dataset": DATASET, "task": "histogram", "sites": [], "parameters": {"bins": 8}, "project": PROJECT, "purpose": ""}
    seen = []
    form.observe(lambda change: seen.append(change["new"].get("state")), "progress")
    try:
        form._heard(form, {"action": "submit", "form": chosen | {"project": "theirs"}}, [])
        assert form.problem["code"] == "refused"
        form._heard(form, {"action": "submit", "form": chosen | {"dataset": 5}}, [])
        assert form.problem["message"]
        form._heard(form, {"action": "submit", "form": chosen}, [])
        assert form.problem == {}
        with pytest.raises(InvalidInputError, match="under way"):
            form.submit()
        until(lambda: form.outcome, "the result in the form", 60)
        until(lambda: form.progress["state"] == "partial", "the end in the form")
        assert form.progress["summary"] == form.outcome["summary"] == "2 of 3 sites"
        assert set(seen) & {"starting", "running"}  # both, unless the job was past the first when the form asked
        assert seen[-1] == "partial"
        assert form.outcome["merged"]["count"] == form.result().count
        form._heard(form, {"action": "cancel"}, [])
        assert form.problem["code"] == "final-state"
        state = json.dumps(form.get_state(["offer", "form", "progress", "outcome", "problem"]))
        assert workplace.token["researcher"] not in state
        assert len(state) < 20_000
    finally:
        form.close()


def test_nothing_of_a_patient_left_the_sites(workplace):
    # Runs last: what the hub ever recorded and logged, and the sites' logs, hold no patient and no token.
    secrets = [b"north-0", b"south-1", *((workplace.folder / "sites" / name / "token").read_bytes() for name in SUBJECTS)]
    kept = [p for p in (workplace.folder / "state").rglob("*") if p.is_file() and p.suffix in {".sqlite", ".log", ".sqlite-wal"}]
    kept += [site.log for site in workplace.sites.values()]
    found = {(path.name, secret[:8]) for path in kept for secret in secrets if secret in path.read_bytes()}
    assert found == set()
