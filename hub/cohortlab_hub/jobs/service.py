"""What can be done with jobs: submit, look, cancel; and for sites: take, report, release. Each in the caller's transaction."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select
from sqlalchemy.orm import Session

from cohortlab.errors import InvalidInputError, NotFoundError, RefusedError, UnavailableError
from cohortlab.federation.contracts import (
    JobSpec,
    JobState,
    Reason,
    Release,
    SiteReport,
    SiteState,
    Ticket,
    TicketName,
    Work,
    WorkItem,
    parameters_digest,
)
from cohortlab.federation.tasks import task
from cohortlab.federation.tasks.histogram_model import HistogramParameters
from cohortlab.federation.ticket import sign_ticket
from cohortlab.keys import PrivateKey, canonical_json, load_key
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit
from cohortlab_hub.access import Decision, Person, Terms, decide, grants_of
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.identity import Principal
from cohortlab_hub.jobs import record, rules
from cohortlab_hub.jobs.tables import JobRow, TicketRow
from cohortlab_hub.settings import Dataset, Federation, Project, Settings

_OPEN = [state.value for state in SiteState if not state.final]
_FETCHED = [state for state in _OPEN if state != SiteState.WAITING.value]
MAX_OPEN = 50
"""Jobs that one person can have under way."""
_BATCH = 16


@dataclass(frozen=True)
class Jobs:
    """The federation of one workbench, ready for use: its settings and the key that signs its tickets."""

    settings: Settings
    federation: Federation
    key: PrivateKey

    @classmethod
    def of(cls, settings: Settings) -> "Jobs":
        """From workbench.yaml. Raises `UnavailableError` where there is no federation."""
        if settings.federation is None:
            raise UnavailableError("This workbench has no federation.", hint="An operator sets it up in workbench.yaml.")
        return cls(settings, settings.federation, load_key(settings.federation.key))

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the datasets themselves demand."""
        return Catalogue(self.settings)

    @property
    def titles(self) -> dict[str, str]:
        """The sites' titles by name."""
        return {name: site.title or name for name, site in self.federation.sites.items()}

    @property
    def limits(self) -> rules.Limits:
        """How long tickets live and sites may be silent."""
        federation = self.federation
        return rules.Limits(timedelta(seconds=federation.ticket_seconds), timedelta(seconds=federation.silence_seconds))

    def pseudonym(self, name: str) -> str:
        """A person's name for the sites: the same for all jobs of this hub, and no way back from it."""
        secret = self.key.crypto.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return "user-" + hmac.new(secret, b"cohortlab user\0" + name.encode(), hashlib.sha256).hexdigest()[:16]

    def projects_of(self, person: Person) -> dict[str, Project]:
        """The projects that `person` may submit for: as a member, or by a group."""
        return {
            name: project
            for name, project in self.federation.projects.items()
            if person.name in project.members or person.groups & set(project.groups)
        }

    def decision(self, database: Session, person: Person, dataset: str, purpose: str | None) -> Decision:
        """Whether `person` may run jobs on `dataset` for `purpose` (DUO code) now."""
        entry = next((entry for entry in self.catalogue.entries() if entry.id == dataset), None)
        if entry is not None and entry.problem:
            return Decision(False, f"{dataset} is not served here: {entry.problem}")
        terms = entry.terms if entry is not None else Terms(dataset, AccessCondition.REMOTE_PROCESSING)
        now = datetime.now(UTC)
        return decide(grants_of(database, person), person, terms, purpose=purpose, condition=AccessCondition.REMOTE_PROCESSING, now=now)

    def datasets_of(self, database: Session, person: Person) -> dict[str, Dataset]:
        """The federated datasets that `person` may run jobs on, for any of their projects."""
        purposes = {project.purpose for project in self.projects_of(person).values()} | {None}
        return {
            name: dataset
            for name, dataset in self.settings.datasets.items()
            if dataset.remote and any(self.decision(database, person, name, purpose).allowed for purpose in purposes)
        }

    def submit(self, database: Session, principal: Principal, spec: JobSpec) -> tuple[JobRow, bool]:
        """Record a job and its tickets; the job and whether it is new (False: its idempotency key was used before).

        Raises `RefusedError` with the reason, `NotFoundError` for an unknown site or task, `InvalidInputError`.
        """
        if principal.kind != "user":
            raise RefusedError("Only a person can submit a job.")
        asked = hashlib.sha256(canonical_json(spec.model_dump(mode="json"))).hexdigest()
        if spec.idempotency_key:
            query = select(JobRow).where(JobRow.owner == principal.name, JobRow.idempotency_key == spec.idempotency_key)
            before = database.scalars(query).first()
            if before is not None and before.asked != asked:
                raise InvalidInputError("This idempotency key belongs to another job.", hint="Use a new key for a new job.")
            if before is not None:
                return before, False
        person = Person(principal.name, principal.groups)
        purpose = self._purpose(person, spec)
        dataset, decision = self._dataset(database, person, spec.dataset, purpose)
        sites = self._sites(dataset, spec)
        parameters = task(spec.task).normalise(spec.parameters)
        open_states = [state.value for state in JobState if not state.final]
        under_way = select(JobRow.id).where(JobRow.owner == principal.name, JobRow.state.in_(open_states)).limit(MAX_OPEN)
        if len(database.scalars(under_way).all()) >= MAX_OPEN:
            raise RefusedError(f"You have {MAX_OPEN} jobs under way.", hint="Wait for them, or cancel some.")
        now = datetime.now(UTC)
        job = JobRow(
            id="job-" + secrets.token_hex(16),
            owner=principal.name,
            owner_groups=canonical_json(sorted(principal.groups)).decode(),
            dataset=spec.dataset,
            task=spec.task,
            parameters=canonical_json(parameters).decode(),
            project=spec.project,
            purpose=purpose or "",
            state=JobState.SUBMITTED.value,
            minimum=rules.needed(len(sites), self.federation.minimum_sites),
            cancelling=False,
            idempotency_key=spec.idempotency_key or None,
            asked=asked,
            created=now,
            updated=now,
            # A lease ends at the earliest of all that it rests on: no ticket is good beyond the grant.
            expires=min(now + self.limits.lifetime, decision.until or now + self.limits.lifetime),
        )
        job.tickets = [self._ticket(job, site, principal.name, now) for site in sites]
        database.add(job)
        record.note(database, job, now, JobState.SUBMITTED.value)
        # A grant is the approval; the step is noted so that the job's history says when it was given.
        record.note(database, job, now, JobState.APPROVING.value)
        job.state = JobState.QUEUED.value
        record.note(database, job, now, JobState.QUEUED.value)
        details = {"job": job.id, "task": job.task, "project": job.project, "sites": sites, "grant": decision.grant or ""}
        audit.record(database, principal.name, "job.submit", job.dataset, details)
        return job, True

    def _purpose(self, person: Person, spec: JobSpec) -> str | None:
        projects = self.projects_of(person)
        if spec.project not in projects:
            yours = ", ".join(sorted(projects)) or "none"
            raise RefusedError(f"You cannot submit for the project {spec.project}.", hint=f"Your projects: {yours}.")
        purpose = projects[spec.project].purpose
        if spec.purpose and purpose and spec.purpose != purpose:
            raise InvalidInputError(f"The project {spec.project} is for {purpose}.", hint="Leave the purpose out, or give that one.")
        return purpose or spec.purpose or None

    def _dataset(self, database: Session, person: Person, name: str, purpose: str | None) -> tuple[Dataset, Decision]:
        decision = self.decision(database, person, name, purpose)
        if not decision.allowed:  # also for a dataset that does not exist: who may not use it is not told
            raise RefusedError(decision.reason)
        dataset = self.settings.datasets.get(name)
        if dataset is None or not dataset.remote:
            raise NotFoundError(f"{name} is not held by any site.", hint="Open it in your session with cl.open instead.")
        return dataset, decision

    def _sites(self, dataset: Dataset, spec: JobSpec) -> list[str]:
        unknown = sorted(set(spec.sites) - set(dataset.sites))
        if unknown:
            raise NotFoundError(f"{spec.dataset} is not held by {', '.join(unknown)}.", hint=f"It is at: {', '.join(dataset.sites)}.")
        return sorted(set(spec.sites or dataset.sites))

    def _ticket(self, job: JobRow, site: str, user: str, now: datetime) -> TicketRow:
        issued = int(now.timestamp())
        ticket = Ticket(
            aud=site,
            sub=self.pseudonym(user),
            jti="ticket-" + secrets.token_hex(16),
            iat=issued,
            nbf=issued,
            exp=int(job.expires.timestamp()),
            job=job.id,
            dataset=job.dataset,
            task=job.task,
            parameters=parameters_digest(json.loads(job.parameters)),
            project=job.project,
        )
        return TicketRow(id=ticket.jti, site=site, token=sign_ticket(ticket, self.key), state=SiteState.WAITING.value, progress=0.0)

    def cancel(self, database: Session, principal: Principal, job: JobRow) -> None:
        """Stop a job. A site that has not fetched its ticket never gets it; the others confirm. Raises `FinalStateError`."""
        if JobState(job.state).final:
            raise rules.FinalStateError(f"The job is over: {job.state}.")
        if job.cancelling:
            return
        now = datetime.now(UTC)
        job.cancelling, job.updated = True, now
        audit.record(database, principal.name, "job.cancel", job.dataset, {"job": job.id})
        for ticket in job.tickets:
            if ticket.state == SiteState.WAITING.value:
                record.move(database, ticket, SiteState.CANCELLED, now, reason=Reason.CANCELLED)

    def work(self, database: Session, site: str) -> tuple[Work, set[str]]:
        """What `site` has to do, and the ids of the jobs that this moved."""
        now, moved = datetime.now(UTC), set()
        fresh = [SiteState.WAITING.value, SiteState.SENT.value]
        query = (
            select(TicketRow)
            .join(JobRow)
            .where(TicketRow.site == site, TicketRow.state.in_(fresh), JobRow.cancelling.is_(False))
            .limit(_BATCH)
        )
        items = []
        for ticket in database.scalars(query).all():
            if ticket.state == SiteState.WAITING.value and now >= ticket.job.expires:
                continue  # the sweep will say so
            if ticket.state == SiteState.WAITING.value and not self._still_allowed(database, ticket.job):
                record.move(database, ticket, SiteState.REFUSED, now, reason=Reason.ACCESS_ENDED)
                moved.add(ticket.job_id)
                continue
            name = TicketName(ticket=ticket.id, job=ticket.job_id)
            items.append(WorkItem(name=name, ticket=ticket.token, parameters=json.loads(ticket.job.parameters)))
            if record.move(database, ticket, SiteState.SENT, now):
                moved.add(ticket.job_id)
        stop = select(TicketRow).join(JobRow).where(TicketRow.site == site, TicketRow.state.in_(_FETCHED), JobRow.cancelling.is_(True))
        names = [TicketName(ticket=ticket.id, job=ticket.job_id) for ticket in database.scalars(stop.limit(_BATCH))]
        return Work(items=tuple(items), cancel=tuple(names)), moved

    def _still_allowed(self, database: Session, job: JobRow) -> bool:
        """Whether the access that a job was submitted under holds now: it may have been revoked since."""
        person = Person(job.owner, frozenset(json.loads(job.owner_groups)))
        return self.decision(database, person, job.dataset, job.purpose or None).allowed

    def report(self, database: Session, site: str, ticket_id: str, said: SiteReport) -> str:
        """Note how far `site` is; the job's id."""
        ticket = self._own(database, site, ticket_id)
        record.move(database, ticket, said.state, datetime.now(UTC), progress=said.progress)
        return ticket.job_id

    def release(self, database: Session, site: str, ticket_id: str, release: Release) -> str:
        """Take the last word of `site` on a ticket; the job's id. Repeating it changes nothing.

        Raises `FinalStateError` when the ticket is over otherwise, `InvalidInputError` for a result that is not what was asked.
        """
        ticket = self._own(database, site, ticket_id)
        if release.ticket != ticket.id or release.job != ticket.job_id:
            raise InvalidInputError("The release is of another ticket.")
        if ticket.state == SiteState.WAITING.value:
            raise InvalidInputError("The ticket was never fetched.")
        _check_result(ticket.job, release)
        if record.move(database, ticket, release.state, datetime.now(UTC), reason=release.reason):
            ticket.release = release.model_dump_json()
            details = {"job": ticket.job_id, "state": release.state.value, "reason": release.reason.value if release.reason else ""}
            audit.record(database, site, "ticket.release", ticket.job.dataset, details)
        return ticket.job_id

    def _own(self, database: Session, site: str, ticket_id: str) -> TicketRow:
        ticket = database.get(TicketRow, ticket_id)
        if ticket is None or ticket.site != site:
            raise NotFoundError("There is no such ticket for this site.")
        return ticket

    def sweep(self, database: Session, seen: dict[str, datetime], started: datetime, now: datetime) -> tuple[set[str], datetime | None]:
        """End the parts of sites that did not answer in time; the ids of the jobs that this moved, and the next deadline.

        `seen`: when each site was last heard; `started`: when this hub began to listen, for those not heard yet.
        """
        moved: set[str] = set()
        following: list[datetime] = []
        for ticket in database.scalars(select(TicketRow).where(TicketRow.state.in_(_OPEN))):
            state = SiteState(ticket.state)
            last = max(seen.get(ticket.site, started), started, ticket.job.created)
            end = rules.deadline(state, ticket.job.created, ticket.job.expires, last, self.limits.silence)
            if end is not None and end <= now:
                state, reason = rules.overdue(state)
                record.move(database, ticket, state, now, reason=reason)
                moved.add(ticket.job_id)
            elif end is not None:
                following.append(end)
        return moved, min(following, default=None)


def _check_result(job: JobRow, release: Release) -> None:
    """A result must be of the job's own question, and there is one exactly when the site released."""
    if (release.result is not None) != (release.state is SiteState.RELEASED):
        raise InvalidInputError("A release has a result exactly when its state is released.")
    if release.result is None:
        if release.reason is None:
            raise InvalidInputError("A release without a result gives a reason.")
        return
    asked = HistogramParameters.model_validate_json(job.parameters)
    got = release.result
    if (got.low, got.high, len(got.counts), got.modality, got.region) != (asked.low, asked.high, asked.bins, asked.modality, asked.region):
        raise InvalidInputError("The result is not of this job's parameters.")


def job_of(database: Session, principal: Principal, job_id: str) -> JobRow:
    """The person's own job. Raises `NotFoundError`, also for another's."""
    job = database.get(JobRow, job_id)
    if job is None or principal.kind != "user" or job.owner != principal.name:
        raise NotFoundError("You have no such job.", hint="cl.jobs.list() shows your jobs.")
    return job


def jobs_of(database: Session, principal: Principal, limit: int, offset: int) -> Iterable[JobRow]:
    """The person's jobs, newest first."""
    query = select(JobRow).where(JobRow.owner == principal.name).order_by(JobRow.created.desc(), JobRow.id).limit(limit).offset(offset)
    return database.scalars(query)
