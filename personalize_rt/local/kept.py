"""The state of an embedded service that survives its process, and the page that shows it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from personalize_rt.files import StrPath
from personalize_rt.local.control.keeping import Target
from personalize_rt.local.doors import Doors
from personalize_rt.local.inside import Shown

if TYPE_CHECKING:
    from personalize_rt.local.console.opened import Console
    from personalize_rt.local.control import ControlWire
    from personalize_rt.local.events import Intake

__all__ = ["Kept"]


class Kept(Doors, Shown):
    """Base of the embedded services that requests change, and that the page can show."""

    @abstractmethod
    def _kept(self) -> tuple[ControlWire, Mapping[str, Intake]]:
        """The control plane, and the intakes of the dataset groups of directories, by ARN."""

    def console(self, *, host: str = "127.0.0.1", port: int = 0) -> Console:
        """Open the page that shows this service to a browser on this machine. Needs the extra ``[server]``.

        It is what a server of :meth:`serve` shows on ``/``, on a thread of this process, until it is closed::

            console = local.console()
            console.url  # "http://127.0.0.1:51234", for a browser
            console.close()

        Args:
            host: The address to listen on, of this machine only.
            port: The port to listen on; 0 takes a free one.

        Raises:
            PersonalizeError: The extra is missing, the port is in use, or other machines could see the page.
        """
        from personalize_rt.local.console.opened import Console

        return Console(self, host=host, port=port)

    def save(self, directory: StrPath) -> None:
        """Save what requests have changed, for :meth:`resume` of another process.

        That is: dataset groups and schemas with all that is in them, imported data, solution versions, filters, event
        trackers, tags, updates, and the events, items, users and actions that were put. Recorded requests and events,
        faults, and answers that were given are not.

        Args:
            directory: A new or empty directory. It holds personal data; its files can be read by their owner only.

        Raises:
            ValidationError: There is a state in it, or it is no directory of this user's own; or more than 100,000
                changes came without :meth:`resume`.
            LocalStateError: It cannot be written.
        """
        self._kept()[0].plane.account.keeper.save(directory)

    def resume(self, directory: StrPath) -> Self:
        """Go on from a directory of state, and keep there what requests change from now on.

        A change is in the directory before its request is answered, so that a killed process loses nothing that it has
        answered. Solution versions are trained again from the data that they learned from, when a request first needs
        them or by ``prepare()``; they give the same answers. A job that was in progress begins anew. What the state has
        wins over filters and event trackers of the same name in ``personalize.toml``. What does not fit the data any
        more is left out, with a ``LocalDataWarning``.

        Args:
            directory: The directory, which is created if its parent exists. One process may have it at a time.

        Returns:
            The service itself.

        Raises:
            ValidationError: It is no directory of this user's own, or requests have changed something before.
            LocalStateError: Another process has it, it is damaged, or another release has written it.
        """
        control, intakes = self._kept()
        target = Target(control.plane, intakes, control.answer_again)
        control.plane.account.keeper.resume(directory, target)
        return self

    def close(self) -> None:
        """Stop the jobs in progress, and leave the directory of state to another process. Safe to call twice.

        Without a directory, only jobs are stopped. Requests are answered as before; what they change is not kept.
        """
        account = self._kept()[0].plane.account
        account.worker.drop()
        account.keeper.close()
