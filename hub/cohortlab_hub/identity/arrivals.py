"""What is recorded of who signs in: whose an account's name is, changes of groups, grants by visas. Each is an audit event."""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from cohortlab.errors import RefusedError
from cohortlab_hub import audit, records
from cohortlab_hub.access import visa_grants
from cohortlab_hub.access.visa_grants import VisaGrant
from cohortlab_hub.identity.passports import Passport
from cohortlab_hub.identity.tables import IdentityRow
from cohortlab_hub.identity.visas import CONTROLLED, Identity
from cohortlab_hub.settings import Settings

_LONGEST = 255
RESERVED = {"hub", "passport", "demo", "cohortlab"}
"""Names that stand for no person in audit events."""


class Arrivals:
    """The records that the hub's authenticator keeps. Its methods wait for the database: call them in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: sessionmaker[Session] | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            self._made.kw["bind"].dispose()

    @property
    def _sessions(self) -> sessionmaker[Session]:
        if self._made is None:
            self._made = sessionmaker(records.engine(self._settings.database_url), expire_on_commit=False)
        return self._made

    def bind(self, name: str, identity: Identity, groups: set[str], before: set[str] | None) -> None:
        """The account `name` is `identity`'s. `before`: the groups until now, None at a sign-in.

        Raises `RefusedError` when the name belongs to another identity, or the identity has another name: a name that a
        provider gives to somebody else must not open the first one's home and grants.
        """
        subject, issuer = identity
        if max(map(len, (name, subject, issuer))) > _LONGEST:
            raise RefusedError("Your account's name is too long for this workbench.")
        if name.lower() in RESERVED:
            raise RefusedError("This account name is one of the workbench's own.")
        with self._sessions.begin() as database:
            row = database.get(IdentityRow, name)
            if row is None:
                other = database.scalars(select(IdentityRow).where(IdentityRow.issuer == issuer, IdentityRow.subject == subject)).first()
                if other is not None:
                    raise RefusedError("You have signed in with another account name before. Ask an operator of this workbench.")
                database.add(IdentityRow(name=name, issuer=issuer, subject=subject, since=datetime.now(UTC)))
            elif (row.subject, row.issuer) != identity:
                raise RefusedError("This account name belongs to another person here. Ask an operator of this workbench.")
            if before is None:
                audit.record(database, name, "person.sign-in", name, {"groups": sorted(groups)})
            elif before != groups:
                details = {"joined": sorted(groups - before), "left": sorted(before - groups)}
                audit.record(database, "hub", "person.groups", name, details)

    def gone(self, name: str, before: set[str]) -> None:
        """The provider says that the sign-in is over, or has not answered for too long: no group counts any more."""
        if before:
            with self._sessions.begin() as database:
                audit.record(database, "hub", "person.groups", name, {"joined": [], "left": sorted(before), "signed_out": True})

    def stamp(self, name: str, passport: Passport) -> None:
        """The grants of the visas that count."""
        datasets: dict[str, list[str]] = {}
        for dataset, part in self._settings.datasets.items():
            for value in part.visas:
                datasets.setdefault(value, []).append(dataset)
        wanted = [
            VisaGrant(dataset, visa.issuer, visa.value, visa.source, visa.asserted, until, self._fulfils(visa.issuer))
            for visa, until in passport.admission.visas
            if visa.type == CONTROLLED
            for dataset in datasets.get(visa.value, ())
        ]
        with self._sessions.begin() as database:
            visa_grants.sync(database, name, wanted, passport.unreachable, datetime.now(UTC))

    def _fulfils(self, issuer: str) -> tuple[str, ...]:
        """What the approvals behind an issuer's visas have checked, by the operator's word."""
        passports = self._settings.passports
        return tuple(passports.issuers[issuer].fulfils) if passports is not None else ()
