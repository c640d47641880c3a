"""The release process: reads one raw result, applies the policy's disclosure rule, and alone writes what may leave the site.

It knows neither the data nor the hub: a fault in a computation cannot change what is let out, nor can the network.
"""

import sys

from cohortlab.errors import CohortlabError
from cohortlab.federation.contracts import Reason, Release, SiteState
from cohortlab.federation.site.config import read_policy
from cohortlab.federation.site.disclosure import DisclosureError, disclose
from cohortlab.federation.site.journal import write_private
from cohortlab.federation.site.protocol import Answer, Channel, ReleaseOrder, log_failure
from cohortlab.federation.tasks.histogram_model import RawHistogram


def checked(order: ReleaseOrder) -> Release:
    """What may go out for `order`: a checked result, or a refusal with its reason."""
    raw = RawHistogram.model_validate_json(order.raw.read_text(encoding="utf-8"))
    try:
        result = disclose(raw, read_policy(order.policy))
    except DisclosureError as error:
        return Release(ticket=order.ticket, job=order.job, state=SiteState.REFUSED, reason=error.reason)
    return Release(ticket=order.ticket, job=order.job, state=SiteState.RELEASED, result=result)


def main() -> int:
    """Take one order, if any comes."""
    channel = Channel()
    order = channel.order(ReleaseOrder)
    if order is None:
        return 0
    try:
        write_private(order.out, checked(order).model_dump_json())
    except (CohortlabError, ValueError, ArithmeticError, OSError) as error:
        log_failure(error)
        channel.answer(Answer(reason=Reason.RELEASE_FAILED))
        return 1
    channel.answer(Answer(done=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
