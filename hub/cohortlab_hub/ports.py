"""Free ports on loopback."""

import errno
import socket
from contextlib import ExitStack

from cohortlab.errors import UnavailableError


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the proxy does; a listener still refuses it
        made.bind((host, port))
        made.listen(1)  # on Linux two sockets may be bound, only one may listen
    except OSError:
        made.close()
        raise
    return made


def choose(host: str, public: int, others: int) -> list[int]:
    """`public` (0: any free one) and `others` further free ports.

    They are held all at once and then let go: another program can take one before the workbench does, which then says
    so when it starts. Raises `UnavailableError` when `public` is in use or forbidden.
    """
    with ExitStack() as stack:
        try:
            first = stack.enter_context(_listen(host, public))
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise UnavailableError(f"Port {public} of {host} {why}.", hint="Stop what uses it, or give another one: --port 8080.") from None
        rest = [stack.enter_context(_listen("127.0.0.1", 0)) for _ in range(others)]
        return [int(made.getsockname()[1]) for made in (first, *rest)]
