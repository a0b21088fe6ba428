"""Fault injection by a list of rules, each of one kind, which are checked once for each request.

``Faults.decide(request)`` decides what happens to a request, without sending or waiting. The doors of the embedded
service carry the decision out. A kind is one class in ``faults.kinds``, and does one of four things:

=================  ===============================  ============================================================
base of the kind   over HTTP                        in process (``as_seen_by_client``)
=================  ===============================  ============================================================
``Substitute``     sends another answer than the    the same; ``read_timeout`` for ``NoAnswer``
                   engine's, or nothing
``Delay``          waits before it answers          advances the clock; ``read_timeout`` if that is too long
``Damage``         sends a changed answer           the same
``Transmission``   sends pieces of bytes, slowly    the outcome of the same pieces for a blocking client
                   or not, and ends the connection
=================  ===============================  ============================================================

A boto3 client raises ``ReadTimeoutError`` for ``read_timeout`` and ``ConnectionClosedError`` for
``connection_closed``. For a body that is shorter than its content-length, botocore before 1.44 raises
``ConnectionClosedError`` too; later versions accept the body. No kind makes a ``ConnectTimeoutError``, since a fault
needs a request, and a request needs a connection.

The modules, from the bottom: ``answers`` (HTTP answers as bytes), ``checks`` (of parameters), ``effects`` (the four
bases), ``kinds`` (the table), ``decision`` (the faults of one request, and their outcome for its client), ``rules``.
"""

from __future__ import annotations

from personalize_rt.local.faults.decision import NO_FAULT as NO_FAULT
from personalize_rt.local.faults.decision import Decision as Decision
from personalize_rt.local.faults.decision import Seen as Seen
from personalize_rt.local.faults.decision import as_seen_by_client as as_seen_by_client
from personalize_rt.local.faults.rules import FaultRule, Faults, When, Where

# Public names. The others are for the doors.
__all__ = ["FaultRule", "Faults", "When", "Where"]
