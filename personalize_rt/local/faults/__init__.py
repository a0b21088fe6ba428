"""Faults on purpose: a list of rules, each of one kind, asked once for each request.

``Faults.decide(request)`` says what happens to a request; it sends nothing and waits for nothing. The doors of the
embedded service make it happen. A kind is one class in :mod:`~personalize_rt.local.faults.kinds`, and does one of four
things:

=================  ===============================  ============================================================
a kind that is     over HTTP                        in process (see :func:`as_seen_by_client`)
=================  ===============================  ============================================================
an ``Answer``      sends it instead of the          the same; ``read_timeout`` for ``NoAnswer``
                   engine's, or nothing
a ``Delay``        waits before it answers          the clock moves on; ``read_timeout`` if that is too long
a ``Damage``       sends another answer             the same
a ``Transmission`` sends pieces of bytes, slowly    what a blocking client makes of the same pieces
                   or not, and ends the connection
=================  ===============================  ============================================================

A boto3 client raises ``ReadTimeoutError`` for ``read_timeout`` and ``ConnectionClosedError`` for
``connection_closed``. For a body that is shorter than its content-length, botocore before 1.44 raises
``ConnectionClosedError`` too; later versions do not look, and take what came. Nothing here makes a
``ConnectTimeoutError``: a fault needs a request, and a request needs a connection.

The package, from the bottom: ``answers`` (HTTP answers as bytes), ``checks`` (of parameters), ``effects`` (the four
things above), ``kinds`` (the table), ``decision`` (what happens to one request, and what its client sees), ``rules``.
"""

from __future__ import annotations

from personalize_rt.local.faults.decision import NO_FAULT as NO_FAULT
from personalize_rt.local.faults.decision import Decision as Decision
from personalize_rt.local.faults.decision import Seen as Seen
from personalize_rt.local.faults.decision import as_seen_by_client as as_seen_by_client
from personalize_rt.local.faults.rules import FaultRule, Faults, When, Where

# The public names; the others are for the doors.
__all__ = ["FaultRule", "Faults", "When", "Where"]
