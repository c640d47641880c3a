"""What travels between a session, the hub and the sites: jobs, tickets, events and releases, each a closed and sized model.

Nothing here holds free text from a site: what a site says is a state, a number or a `Reason` code, so that an exception
text or a value from a header has no field to leave by.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from cohortlab.keys import canonical_json

MAX_SITES = 64
MAX_CELLS = 4096
"""Cells of a released table, at most."""

DatasetId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
ProjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
TaskName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
JobId = Annotated[str, StringConstraints(pattern=r"^job-[0-9a-f]{32}$")]
TicketId = Annotated[str, StringConstraints(pattern=r"^ticket-[0-9a-f]{32}$")]
Parameters = Annotated[dict[Annotated[str, StringConstraints(max_length=64)], JsonValue], Field(max_length=32)]
Count = Annotated[int, Field(ge=0, le=2**62)]


class Model(BaseModel):
    """Base of every contract: frozen, unknown fields refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class JobState(StrEnum):
    """The states of a job, in the order of its life; the last seven are final."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVING = "approving"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    AGGREGATING = "aggregating"
    RELEASING = "releasing"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOST = "lost"

    @property
    def final(self) -> bool:
        """Whether a job in this state never changes again."""
        return self in _FINAL_JOB


_FINAL_JOB = {
    JobState.SUCCEEDED,
    JobState.PARTIAL,
    JobState.REFUSED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.EXPIRED,
    JobState.LOST,
}


class SiteState(StrEnum):
    """The states of one site's part of a job; the last six are final."""

    WAITING = "waiting"
    SENT = "sent"
    ACCEPTED = "accepted"
    RUNNING = "running"
    RELEASING = "releasing"
    RELEASED = "released"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOST = "lost"

    @property
    def final(self) -> bool:
        """Whether a site in this state has said its last word on the job."""
        return self in _FINAL_SITE


_FINAL_SITE = {SiteState.RELEASED, SiteState.REFUSED, SiteState.FAILED, SiteState.CANCELLED, SiteState.EXPIRED, SiteState.LOST}


class Reason(StrEnum):
    """Why a site refused or failed: all that it says about it. `REASONS` has the words for people."""

    TICKET_INVALID = "ticket-invalid"
    TICKET_OTHER_SITE = "ticket-other-site"
    TICKET_EXPIRED = "ticket-expired"
    TICKET_REPLAYED = "ticket-replayed"
    TICKET_CHANGED = "ticket-changed"
    PROJECT_NOT_ALLOWED = "project-not-allowed"
    TASK_NOT_ALLOWED = "task-not-allowed"
    DATASET_NOT_ALLOWED = "dataset-not-allowed"
    POLICY_UNREADABLE = "policy-unreadable"
    PARAMETERS_INVALID = "parameters-invalid"
    DATASET_NOT_HERE = "dataset-not-here"
    DATASET_NOT_TRUSTED = "dataset-not-trusted"
    NO_MATCHING_SERIES = "no-matching-series"
    TOO_FEW_SUBJECTS = "too-few-subjects"
    TIME_LIMIT = "time-limit"
    COMPUTATION_FAILED = "computation-failed"
    RELEASE_FAILED = "release-failed"
    SITE_RESTARTED = "site-restarted"
    CANCELLED = "cancelled"
    NOT_FETCHED = "not-fetched"
    SITE_SILENT = "site-silent"
    ACCESS_ENDED = "access-ended"


REASONS: dict[Reason, str] = {
    Reason.TICKET_INVALID: "The site could not verify the ticket's signature.",
    Reason.TICKET_OTHER_SITE: "The ticket was made out to another site.",
    Reason.TICKET_EXPIRED: "The ticket is not valid at this time.",
    Reason.TICKET_REPLAYED: "The ticket was used before.",
    Reason.TICKET_CHANGED: "The parameters are not those that the ticket was signed for.",
    Reason.PROJECT_NOT_ALLOWED: "The site's policy does not allow this project.",
    Reason.TASK_NOT_ALLOWED: "The site's policy does not allow this task.",
    Reason.DATASET_NOT_ALLOWED: "The site's policy does not allow jobs on this dataset.",
    Reason.POLICY_UNREADABLE: "The site cannot read its own policy, and so allows nothing.",
    Reason.PARAMETERS_INVALID: "The site's version of the task does not accept these parameters.",
    Reason.DATASET_NOT_HERE: "The site does not hold this dataset.",
    Reason.DATASET_NOT_TRUSTED: "The site's copy of the dataset does not verify against a key that it trusts.",
    Reason.NO_MATCHING_SERIES: "No image of the dataset at this site matches the parameters.",
    Reason.TOO_FEW_SUBJECTS: "Fewer subjects than the site's policy requires.",
    Reason.TIME_LIMIT: "The computation took longer than the site allows.",
    Reason.COMPUTATION_FAILED: "The computation failed at the site; its log there says why.",
    Reason.RELEASE_FAILED: "The site's release check failed; its log there says why.",
    Reason.SITE_RESTARTED: "The site restarted during the job and could not run it again.",
    Reason.CANCELLED: "The job was cancelled.",
    Reason.NOT_FETCHED: "The site did not fetch the job before its ticket expired.",
    Reason.SITE_SILENT: "The site stopped answering during the job.",
    Reason.ACCESS_ENDED: "Your access to the dataset ended before the site fetched the job.",
}


class JobSpec(Model):
    """What a user asks for. `sites` empty means every site that holds the dataset."""

    dataset: DatasetId
    task: TaskName = "histogram"
    parameters: Parameters = Field(default_factory=dict)
    sites: tuple[SiteName, ...] = Field(default=(), max_length=MAX_SITES)
    project: ProjectName
    purpose: Annotated[str, StringConstraints(pattern=r"^(DUO:[0-9]{7}(/[A-Za-z][A-Za-z0-9._:-]{1,47})?)?$")] = ""
    """DUO code; empty means the project's own."""
    idempotency_key: Annotated[str, StringConstraints(max_length=64)] = ""


def parameters_digest(parameters: dict[str, Any]) -> str:
    """``sha256:<hex>`` over the canonical JSON of a task's parameters."""
    return "sha256:" + hashlib.sha256(canonical_json(parameters)).hexdigest()


class Ticket(Model):
    """The claims of a ticket (names after RFC 7519): the hub's signed leave to run one task at one site, once."""

    iss: Literal["cohortlab"] = "cohortlab"
    aud: SiteName
    sub: Annotated[str, StringConstraints(pattern=r"^user-[0-9a-f]{16}$")]
    """Pseudonym of the user: the same for all tickets of one hub, no name."""
    jti: TicketId
    iat: int
    nbf: int
    exp: int
    job: JobId
    dataset: DatasetId
    task: TaskName
    parameters: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
    """Digest of the parameters, which travel beside the ticket."""
    project: ProjectName


class TicketName(Model):
    """A ticket by name only."""

    ticket: TicketId
    job: JobId


class WorkItem(Model):
    """One ticket on its way to a site, with the parameters that its digest covers.

    `name` is where the site's answer goes, also when it cannot verify the ticket; nothing else rests on it.
    """

    name: TicketName
    ticket: Annotated[str, StringConstraints(max_length=4096)]
    parameters: Parameters = Field(default_factory=dict)


class Work(Model):
    """The hub's answer to a site that asks for work: new tickets, and the tickets to stop."""

    items: tuple[WorkItem, ...] = Field(default=(), max_length=64)
    cancel: tuple[TicketName, ...] = Field(default=(), max_length=1024)


class SiteReport(Model):
    """What a site says while it works on a ticket."""

    state: Literal[SiteState.ACCEPTED, SiteState.RUNNING, SiteState.RELEASING]
    progress: Annotated[float, Field(ge=0, le=1)] = 0.0


class Moments(Model):
    """Mean and population standard deviation (divisor `count`) of `count` values."""

    count: Annotated[int, Field(ge=1, le=2**62)]
    mean: float
    sd: Annotated[float, Field(ge=0)]


class HistogramResult(Model):
    """A histogram that may be shown. None in place of a count means: suppressed by the site's disclosure rule.

    `counts[i]` holds the voxels in ``[edges[i], edges[i + 1])``, the last bin closed (as `numpy.histogram`); `below` and
    `above` those outside. `count` is all of them together. `moments` is over the voxels of the cells that are shown, so
    that it says nothing about a suppressed one; with no cell suppressed that is every voxel.
    """

    kind: Literal["histogram"] = "histogram"
    low: float
    high: float
    counts: Annotated[tuple[Count | None, ...], Field(min_length=1, max_length=MAX_CELLS)]
    below: Count | None
    above: Count | None
    count: Count | None
    moments: Moments | None
    subjects: Count
    series: Count
    modality: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,8}$")]
    region: Literal["all", "segmentation"]
    minimum_count: Annotated[int, Field(ge=0, le=2**31)]

    @property
    def edges(self) -> list[float]:
        """The ``len(counts) + 1`` edges of the bins."""
        bins = len(self.counts)
        return [self.low + (self.high - self.low) * i / bins for i in range(bins)] + [self.high]

    @property
    def suppressed(self) -> int:
        """How many cells, `below` and `above` included, are withheld."""
        return sum(cell is None for cell in (*self.counts, self.below, self.above))


class Release(Model):
    """A site's last word on a ticket, written by its release process: a checked result, or a reason."""

    ticket: TicketId
    job: JobId
    state: Literal[SiteState.RELEASED, SiteState.REFUSED, SiteState.FAILED, SiteState.CANCELLED, SiteState.LOST]
    reason: Reason | None = None
    result: HistogramResult | None = None


class SiteProgress(Model):
    """One site's part of a job, as its user sees it."""

    site: SiteName
    title: str = ""
    state: SiteState
    progress: Annotated[float, Field(ge=0, le=1)] = 0.0
    reason: Reason | None = None
    message: str = ""


class JobView(Model):
    """A job as its user sees it. `summary` says how many sites released, e.g. ``2 of 3 sites``."""

    id: JobId
    dataset: DatasetId
    task: TaskName
    parameters: Parameters
    project: ProjectName
    purpose: str
    state: JobState
    summary: str
    sites: tuple[SiteProgress, ...]
    created: datetime
    updated: datetime
    expires: datetime


class Event(Model):
    """One step of a job; `seq` rises within the job, from 1. `site` is empty for a step of the job as a whole."""

    seq: int
    time: datetime
    site: str
    state: str
    progress: float = 0.0
    reason: Reason | None = None


class Events(Model):
    """A page of events and the job's state after them."""

    events: tuple[Event, ...]
    job: JobView


class FederatedSite(Model):
    """A site that holds a dataset. `connected`: it asked the hub for work lately."""

    name: SiteName
    title: str
    connected: bool


class FederatedDataset(Model):
    """A dataset that the asker may run jobs on, and where it is."""

    id: DatasetId
    title: str
    description: str = ""
    sites: tuple[FederatedSite, ...]


class FederatedProject(Model):
    """A project that the asker may submit for; `purpose` is its DUO code, or empty."""

    id: ProjectName
    title: str
    purpose: str = ""


class FederatedTask(Model):
    """A task; `parameters` is the JSON schema of its parameters."""

    name: TaskName
    title: str
    parameters: dict[str, JsonValue]


class Federation(Model):
    """All that the asker may choose from for a job."""

    datasets: tuple[FederatedDataset, ...]
    projects: tuple[FederatedProject, ...]
    tasks: tuple[FederatedTask, ...]


class MergedCell(Model):
    """A cell over all sites: the sum of what was released, and how many sites withheld theirs."""

    count: Count
    suppressed: int = 0


class MergedHistogram(Model):
    """The sites' histograms together; `moments` is None where no site released any."""

    kind: Literal["histogram"] = "histogram"
    low: float
    high: float
    cells: tuple[MergedCell, ...]
    below: MergedCell
    above: MergedCell
    count: Count
    count_suppressed: int = 0
    moments: Moments | None
    subjects: Count
    series: Count


class JobResult(Model):
    """The result of a job: each releasing site's histogram and the merged one."""

    job: JobView
    merged: MergedHistogram
    sites: dict[SiteName, HistogramResult]
