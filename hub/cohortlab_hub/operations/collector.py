"""What the records hold, as metrics: read at each scrape, the same at every replica (take the maximum over them, not the sum)."""

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Final

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from cohortlab.federation.contracts import JobState
from cohortlab_hub import audit
from cohortlab_hub.access.counts import leases_now
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.jobs import record as jobs
from cohortlab_hub.records import reading
from cohortlab_hub.sessions import gpus
from cohortlab_hub.settings import Settings

_log = structlog.get_logger(__name__)
_NONE: Final = 0.0
_SUMMED: Final = {"pixels.read": ("answers", "bytes")}


class Records(Collector):
    """Counts of leases, jobs, the GPU queue, audit events and datasets. Where the records do not answer it says only that."""

    def __init__(self, settings: Settings, sessions: sessionmaker[Session], catalogue: Catalogue) -> None:
        self._settings = settings
        self._sessions = sessions
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._audited = audit.Tally(0, Counter(), Counter())

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the records."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All of it, of now."""
        found: list[Metric] = []
        up = 1.0
        try:
            with reading(self._sessions) as database:
                for part in (self._leases, self._queue, self._jobs, self._audit):
                    found += part(database)
        except SQLAlchemyError as error:
            _log.warning("metrics.records", error=type(error).__name__)
            found, up = [], 0.0
        yield GaugeMetricFamily("cohortlab_records_up", "Whether the records answer.", up)
        yield from found
        yield from self._datasets()

    def _leases(self, database: Session) -> Iterable[Metric]:
        counted = leases_now(database)
        yield GaugeMetricFamily("cohortlab_leases", "Leases of running sessions.", counted.active)
        yield GaugeMetricFamily(
            "cohortlab_leases_ending", "Those of them whose person was told that their session will be stopped.", counted.ending
        )
        yield CounterMetricFamily("cohortlab_leases_ended", "Leases that have ended.", counted.ended)

    def _queue(self, database: Session) -> Iterable[Metric]:
        free, rows = gpus.free(database), gpus.tickets(database)
        waiting = GaugeMetricFamily("cohortlab_gpu_queue_waiting", "Requests that wait for GPUs.", labels=["kind"])
        since = GaugeMetricFamily("cohortlab_gpu_queue_oldest_timestamp_seconds", "When the oldest of them began to wait.", labels=["kind"])
        total = GaugeMetricFamily("cohortlab_gpus", "GPUs that there are.", labels=["kind"])
        unused = GaugeMetricFamily("cohortlab_gpus_free", "GPUs that nobody has.", labels=["kind"])
        for kind in self._settings.gpus:
            mine = [row for row in rows if row.kind == kind and row.state == gpus.WAITING]
            waiting.add_metric([kind], len(mine))
            if mine:
                since.add_metric([kind], min(row.since for row in mine).timestamp())
            total.add_metric([kind], free[kind].total if kind in free else self._settings.gpus[kind].total or _NONE)
            unused.add_metric([kind], free[kind].free if kind in free else _NONE)
        return waiting, since, total, unused

    def _jobs(self, database: Session) -> Iterable[Metric]:
        counted = jobs.counted(database)
        family = GaugeMetricFamily("cohortlab_jobs", "Federated jobs by state.", labels=["state"])
        for state in JobState:
            family.add_metric([state.value], counted.get(state.value, 0))
        yield family

    def _audit(self, database: Session) -> Iterable[Metric]:
        with self._lock:  # two scrapes at once would count the same events twice
            more = audit.tally(database, self._audited.last, _SUMMED)
            known = self._audited
            self._audited = known = audit.Tally(more.last, known.actions + more.actions, known.sums + more.sums)
        family = CounterMetricFamily("cohortlab_audit_events", "Audit events, by what was done.", labels=["action"])
        for action, count in sorted(known.actions.items()):
            family.add_metric([action], count)
        sums = known.sums
        yield family
        yield CounterMetricFamily("cohortlab_pixels_read_bytes", "Bytes of pixels that people were shown.", sums["pixels.read", "bytes"])
        yield CounterMetricFamily("cohortlab_pixels_read_answers", "Slices and other answers with pixels.", sums["pixels.read", "answers"])

    def _datasets(self) -> Iterable[Metric]:
        served = [not entry.problem for entry in self._catalogue.entries()]
        family = GaugeMetricFamily(
            "cohortlab_datasets", "Datasets of workbench.yaml: served, or refused since they do not verify.", labels=["state"]
        )
        family.add_metric(["served"], sum(served))
        family.add_metric(["refused"], len(served) - sum(served))
        yield family
