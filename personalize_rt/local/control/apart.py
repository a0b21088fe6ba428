"""Trainings and measurements in a process of their own, so that the interpreter that answers requests stays free.

A child is a new interpreter. It gets the datasets through a pipe, trains, and sends the models back through another; it
shares neither threads nor locks with its parent, and does not run the parent's main module. It ends when its parent
does, however that ends: the pipe that it read the datasets from is closed then. It is killed when the work is stopped,
and after :data:`MOST_SECONDS`; its memory is bounded by :data:`MOST_BYTES` where the system can do that.

To start an interpreter costs about as much as to train on ten thousand rows, so that smaller data are trained in the
process itself.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from typing import IO, Any, BinaryIO, cast

from personalize_rt import forks
from personalize_rt.local.control.made import FailedError, Work
from personalize_rt.local.control.packing import pack, unpack
from personalize_rt.local.control.shapes import invalid
from personalize_rt.local.datasets import Datasets, EventLog, Table
from personalize_rt.local.engine import RefusedError
from personalize_rt.local.models import Models
from personalize_rt.local.recipes import RECIPES, Ask, Recipe
from personalize_rt.local.schemas import DATASETS

__all__ = ["MOST_BYTES", "MOST_SECONDS", "is_large", "measured", "train"]

# Rows of all datasets together.
LEAST_ROWS = 10_000
MOST_SECONDS = 900.0
"""Seconds that a training or measurement may take."""
MOST_BYTES = 4 << 30
"""Bytes of memory (address space) that it may take, on Linux."""
# Priority below that of the process that answers requests.
_NICE = 10
_LENGTH = 4
_NOBODY: Mapping[str, Any] = {"userId": "", "itemId": "", "inputList": ()}
_MAIN = f"from {__name__} import main; main()"


def is_large(recipe: Recipe, datasets: Datasets) -> bool:
    """Tell whether a training is worth a process of its own."""
    rows = sum(len(held) for name in DATASETS if (held := getattr(datasets, name)) is not None)
    return rows >= LEAST_ROWS and RECIPES.get(recipe.name) is recipe and _has_interpreter()


def _has_interpreter() -> bool:
    """Tell whether another interpreter can be started. Frozen programs and some servers are their own executable."""
    name = os.path.basename(sys.executable or "").lower()
    return name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


def train(recipe: Recipe, models: Models, work: Work | None) -> None:
    """Train the models of a recipe in another process, and add them to those of the datasets.

    Args:
        recipe: The recipe.
        models: The models of the datasets.
        work: The work that it is a part of, which may be stopped.

    Raises:
        FailedError: It was stopped, takes too long, or needs too much memory.
    """
    task = {"task": "train", "recipe": recipe.name}
    models.adopt(_done_apart(task, models.datasets, _Shared.of(models), work))


def measured(recipe: Recipe, datasets: Datasets, now: float) -> Mapping[str, float]:
    """The metrics of a recipe, as of :func:`personalize_rt.local.control.measuring.metrics_of`.

    Raises:
        RefusedError: ``InvalidInputException``; there is nothing to predict, or it takes too long or too much memory.
    """
    if not is_large(recipe, datasets):
        from personalize_rt.local.control.measuring import metrics_of

        return metrics_of(recipe, datasets, now)
    try:
        found: Mapping[str, float] = _done_apart(
            {"task": "measure", "recipe": recipe.name, "now": now}, datasets, _Shared({}), None
        )
    except FailedError as failed:
        raise invalid(f"solutionVersionArn: {failed.reason}") from None
    return found


def _done_apart(task: Mapping[str, Any], datasets: Datasets, shared: _Shared, work: Work | None) -> Any:
    held = {name: one for name in DATASETS if (one := getattr(datasets, name)) is not None}
    with _Child() as child, _bounded(child, work) as late:
        try:
            child.send(json.dumps({**task, "datasets": list(held)}).encode())
            for one in held.values():
                for frame in pack(one):
                    child.send(frame)
            outcome = b"".join(iter(lambda: child.receive(), b""))
            kind, content = shared.load(outcome)
        except (OSError, EOFError, pickle.UnpicklingError):
            kind, content = "lost", ""
    if late.is_set():
        kind, content = "failed", f"Create failed. The training took more than {MOST_SECONDS:,.0f} seconds."
    match kind:
        case "done":
            return content
        case "refused":
            raise RefusedError(*content)
        case "failed":
            raise FailedError(content)
        case _:
            raise FailedError("Create failed. The process of the training was ended.")


@contextlib.contextmanager
def _bounded(child: _Child, work: Work | None) -> Generator[threading.Event, None, None]:
    """Kill a child when its time is over, or its work is stopped. Yields whether its time was over."""
    late = threading.Event()

    def end() -> None:
        late.set()
        child.kill()

    timer = threading.Timer(MOST_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        with contextlib.nullcontext() if work is None else work.interrupted_by(child.kill):
            yield late
    finally:
        timer.cancel()


class _Child:
    """A child process, and its two pipes. It has ended after the ``with`` block."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What a child writes there may show the data.
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": paths},
            # Ctrl-C in a terminal is for its parent.
            start_new_session=True,
        )
        self._pipes = cast("tuple[IO[bytes], IO[bytes]]", (self._process.stdin, self._process.stdout))
        # A fork of the parent would keep the pipes open, and the child alive, after the parent's end.
        forks.in_child(self, _Child._leave)

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._leave()
        self._process.wait()

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()

    def _leave(self) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.close()

    def send(self, frame: bytes) -> None:
        _send(self._pipes[0], frame)

    def receive(self) -> bytes:
        return _receive(self._pipes[1])


def _send(pipe: IO[bytes], frame: bytes) -> None:
    view = memoryview(len(frame).to_bytes(_LENGTH, "little") + frame)
    while view:
        view = view[pipe.write(view) :]


def _receive(pipe: IO[bytes]) -> bytes:
    """The next frame.

    Raises:
        EOFError: There is none.
    """
    return _read(pipe, int.from_bytes(_read(pipe, _LENGTH), "little"))


def _read(pipe: IO[bytes], size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = pipe.read(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class _Shared:
    """The objects that models refer to and that both processes have, so that they are not sent back.

    Args:
        by_name: The objects, by a name that both processes have for them.
    """

    def __init__(self, by_name: Mapping[str, object]) -> None:
        self._by_name = by_name

    @classmethod
    def of(cls, models: Models) -> _Shared:
        """The objects that the models of some datasets refer to."""
        universe = models.universe
        by_name: dict[str, object] = {"universe": universe, "numbers": universe.numbers, "ids": universe.ids}
        for name in DATASETS:
            held: EventLog | Table | None = getattr(models.datasets, name)
            if held is not None:
                by_name[name] = held
            if isinstance(held, EventLog):
                by_name |= {f"{name}.{part}": getattr(held, part) for part in ("users", "targets", "types")}
        return cls(by_name)

    def dump(self, value: object) -> bytes:
        into = io.BytesIO()
        _Pickler(into, {id(one): name for name, one in self._by_name.items()}).dump(value)
        return into.getvalue()

    def load(self, content: bytes) -> Any:
        return _Unpickler(io.BytesIO(content), self._by_name).load()


class _Pickler(pickle.Pickler):
    def __init__(self, into: io.BytesIO, names: Mapping[int, str]) -> None:
        super().__init__(into, 5)
        self._names = names

    def persistent_id(self, obj: object) -> str | None:
        return self._names.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, source: io.BytesIO, by_name: Mapping[str, object]) -> None:
        super().__init__(source)
        self._by_name = by_name

    def persistent_load(self, pid: str) -> object:
        return self._by_name[pid]


# The child.


def main() -> None:
    """Do the task that standard input describes, and write the outcome to standard output."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)
    _bound_memory()
    try:
        outcome = _outcome(source)
    except MemoryError:
        gigabytes = MOST_BYTES >> 30
        outcome = pickle.dumps(("failed", f"Create failed. The training needs more than {gigabytes} GB of memory."))
    except Exception as error:
        # A defect. Its message may show personal data.
        outcome = pickle.dumps(("failed", f"Internal error: {type(error).__name__}"))
    for start in range(0, len(outcome), 1 << 20):
        _send(target, outcome[start : start + (1 << 20)])
    _send(target, b"")
    target.flush()
    os._exit(0)  # the thread that waits for the parent's end need not be waited for


def _outcome(source: BinaryIO) -> bytes:
    task = json.loads(_receive(source))
    held: dict[str, Any] = {name: unpack(_frames(source)) for name in task["datasets"]}
    datasets = Datasets(**held)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    recipe = RECIPES[task["recipe"]]
    if task["task"] == "measure":
        from personalize_rt.local.control.measuring import metrics_of

        try:
            return pickle.dumps(("done", dict(metrics_of(recipe, datasets, task["now"]))))
        except RefusedError as refused:
            return pickle.dumps(("refused", (refused.code, refused.message)))
    models = Models(datasets)
    recipe.answer(Ask(models, _NOBODY))
    models.prepare()
    return _Shared.of(models).dump(("done", dict(models.trained)))


def _frames(source: BinaryIO) -> Iterator[bytes]:
    while True:
        yield _receive(source)


def _end_with_parent() -> None:
    """End this process when its parent ends, which closes the pipe."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    os._exit(1)


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
