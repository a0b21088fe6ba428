"""Spark tasks: from rows of Arrow batches to requests, and from answers to rows of new batches.

They run in the Python workers of the executors. A worker is a process that runs one task after the other; it keeps its
client and the rate that its limiter has found.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import attrs

from personalize_rt import forks
from personalize_rt.bulk.course import Course
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.outcomes import Outcome
from personalize_rt.bulk.requests import BulkRequest, RankRequest, RecommendRequest
from personalize_rt.bulk.running import Run
from personalize_rt.bulk.spark.answers import Answer, Batch, Failure, result_batch, result_row
from personalize_rt.bulk.threads import Threads
from personalize_rt.client import PersonalizeRuntime
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.limits import Limits
from personalize_rt.rerank import LocalReranker
from personalize_rt.resilience.retry import RetryPolicy

__all__ = ["Reading", "Requests", "RerankedRow", "Rerankings", "ask", "build_runtime", "rerank"]

Row: TypeAlias = Mapping[int, Any]
"""The values that a job reads from a row: column to value."""

# Rows of an output batch, few enough that a `limit` downstream does not cost thousands of requests.
_ROWS = 64
# Clients that a worker keeps, since several jobs may share it.
_KEPT = 4
# For the default runtime. Long, since no page waits for a call, and a row that fails has to be repeated by hand.
_DEADLINE = 30.0
_ATTEMPTS, _BASE, _CAP = 8, 0.1, 5.0


@attrs.frozen
class Reading:
    """The index of the column that each argument of a call comes from.

    Attributes:
        ids: Argument (``"user_id"``, ``"item_id"``, ``"input_list"``) to column. None of them may be null.
        context: Name of the context to column. A null is left out.
        filter_values: Filter parameter to column. A null is left out.
        kept: Name in the output to column, for columns to repeat.
    """

    ids: Mapping[str, int]
    context: Mapping[str, int]
    filter_values: Mapping[str, int]
    kept: Mapping[str, int]

    def rows(self, batch: Batch) -> list[Row]:
        """The rows of a batch, each as column to value."""
        places = sorted({*self.ids.values(), *self.context.values(), *self.filter_values.values()})
        values = [batch.column(place).to_pylist() for place in places]
        if not places:
            return [{}] * batch.num_rows
        return [dict(zip(places, row, strict=True)) for row in zip(*values, strict=True)]

    def arguments(self, row: Row) -> dict[str, Any]:
        """The arguments of a row.

        Raises:
            ValidationError: An id or a list is null.
        """
        return _not_null({name: row[place] for name, place in self.ids.items()})

    def given(self, columns: Mapping[str, int], row: Row) -> dict[str, Any]:
        """The values of a row in some columns, without nulls."""
        return {name: row[place] for name, place in columns.items() if row[place] is not None}


def _not_null(arguments: dict[str, Any]) -> dict[str, Any]:
    for name, value in arguments.items():
        if value is None:
            raise ValidationError(f"{name} is null in this row", parameter=name)
    return arguments


@attrs.frozen
class Requests:
    """The plan of a task that makes requests.

    Attributes:
        kind: The class of the requests.
        build: A function that builds the runtime, pickled; equal bytes share one client.
        tps: Requests a second of this task, or ``None`` for no limit.
        concurrency: The most requests in flight in this task.
        on_error: Whether an error is a value of the row, or ends the task.
        arguments: The constant arguments.
        reading: The columns of the others.
    """

    kind: type[RecommendRequest] | type[RankRequest]
    build: bytes
    tps: float | None
    concurrency: int
    on_error: Literal["record", "raise"]
    arguments: Mapping[str, Any]
    reading: Reading

    keeps_raw = False  # the run is in this process

    def request(self, raw: Row) -> BulkRequest[Any]:
        """Make the request of a row.

        Raises:
            ValidationError: The row is not valid.
        """
        reading = self.reading
        asked = {**self.arguments, **reading.arguments(raw)}
        if reading.context:
            asked["context"] = {**(asked["context"] or {}), **reading.given(reading.context, raw)}
        if reading.filter_values:
            values: dict[str, Any] = {**(asked["filter_values"] or {}), **reading.given(reading.filter_values, raw)}
            if asked["filter"] is None:
                asked["filter_values"] = values
            else:
                asked["filter"], asked["filter_values"] = asked["filter"].bind(values), None
        return self.kind(**asked)

    def value(
        self, position: int, raw: Row, answer: Any, error: PersonalizeError | None, elapsed: float
    ) -> Outcome[Any]:
        """The answer or the failure."""
        request: Any = raw
        return Outcome(position, request, answer, error, elapsed)


@attrs.frozen
class Rerankings:
    """The plan of a task that ranks locally.

    Attributes:
        scorer: A function that returns the scorer, which may be a broadcast.
        limits: The limits on the lengths of a list and of an id.
        context: The constant context, or ``None``.
        reading: The columns of arguments.
    """

    scorer: Callable[[], Any]
    limits: Limits
    context: Mapping[str, str] | None
    reading: Reading


class Worker(NamedTuple):
    """The state that a Python worker keeps between tasks: its client and limiter."""

    runtime: PersonalizeRuntime
    limiter: RateLimiter


def build_runtime(region_name: str | None) -> PersonalizeRuntime:
    """Build the default runtime of a job."""
    return PersonalizeRuntime(
        region_name=region_name, deadline=_DEADLINE, retry=RetryPolicy(_ATTEMPTS, base=_BASE, cap=_CAP)
    )


_workers: OrderedDict[tuple[bytes, float | None], Worker] = OrderedDict()
forks.in_child(_workers, lambda workers: workers.clear())  # a child builds its own


def worker_for(build: bytes, tps: float | None) -> Worker:
    """The state of this process for a job, from an earlier task or new.

    Raises:
        ValidationError: The function does not build a runtime.
    """
    worker = _workers.pop((build, tps), None)
    if worker is None:
        runtime: object = pickle.loads(build)()
        if not isinstance(runtime, PersonalizeRuntime):
            raise ValidationError(
                f"runtime() gave a {type(runtime).__name__}: it must build a PersonalizeRuntime", parameter="runtime"
            )
        while len(_workers) >= _KEPT:
            _workers.pop(next(iter(_workers))).runtime.close()
        worker = Worker(runtime, RateLimiter(tps))
    _workers[build, tps] = worker  # most recently used last
    return worker


def ask(plan: Requests, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Make the requests for the rows of batches concurrently, and yield the rows in order with their answers.

    Raises:
        PersonalizeError: The run ended (see :func:`personalize_rt.bulk.run`): a client cannot be built, credentials
            are refused, the service is not available; or a row failed, and the plan says to raise.
    """
    runtime, limiter = worker_for(plan.build, plan.tps)
    runtime.connect()
    parts: deque[Batch] = deque()

    def rows() -> Iterator[Row]:
        for part in _parts(batches):
            parts.append(part)
            yield from plan.reading.rows(part)

    course = Course(
        (),
        limiter,
        concurrency=plan.concurrency,
        ordered=True,
        raises=plan.on_error == "raise",
        progress=False,
        checkpoint=None,
        refusals=False,  # a partition may happen to have only wrong rows
    )
    answers: list[Answer] = []
    with Run[Outcome[Any]](rows(), Threads(runtime, plan, plan.concurrency, limiter), course) as run:
        for outcome in run:
            answers.append(Failure.of(outcome.error) if outcome.error is not None else outcome.result())
            if len(answers) == parts[0].num_rows:
                yield result_batch(parts.popleft(), plan.reading.kept, answers, plan.arguments["metadata_columns"])
                answers = []


def _parts(batches: Iterable[Batch]) -> Iterator[Batch]:
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS):
            yield batch.slice(start, _ROWS)


def rerank(plan: Rerankings, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Rank the lists of batches locally, and yield the rows with their rankings."""
    reranker = LocalReranker(plan.scorer(), limits=plan.limits)
    for part in _parts(batches):
        yield result_batch(part, plan.reading.kept, [_ranked(reranker, plan, row) for row in plan.reading.rows(part)])


def _ranked(reranker: LocalReranker, plan: Rerankings, row: Row) -> Answer:
    reading, context = plan.reading, plan.context
    if reading.context:
        context = {**(context or {}), **reading.given(reading.context, row)}
    return _reranked(reranker, {name: row[place] for name, place in reading.ids.items()}, context)


def _reranked(reranker: LocalReranker, arguments: dict[str, Any], context: Any) -> Answer:
    """A ranking of the local re-ranker, or its failure."""
    try:
        return reranker.rank(**_not_null(arguments), context=context)
    except PersonalizeError as error:
        return Failure.of(error)
    except Exception as error:
        name = type(error).__name__
        return Failure(name, None, f"the scorer raised {name}; its text is not shown, it may name a user", None)


@attrs.frozen
class RerankedRow:
    """Local ranking of one row at a time, for a user-defined function."""

    scorer: Callable[[], Any]
    limits: Limits

    def __call__(self, user_id: Any, input_list: Any, context: Any) -> dict[str, Any]:
        """Rank a row; return the columns of the result by name."""
        reranker = LocalReranker(self.scorer(), limits=self.limits)
        return result_row(_reranked(reranker, {"user_id": user_id, "input_list": input_list}, context))
