# Generated from personalize_rt/_async/pages.py by `nox -s twins`: edit that file, and never this one.
"""Pages under way: asking for them, keeping them, and reading them again."""
# What it needs of a runtime is nobody else's.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from personalize_rt.outcome import Failed
from personalize_rt.pages import PageCall, Pages, PageStore, check_store
from personalize_rt.resilience.threads.waiting import result_within
from personalize_rt.seen import Seen

if TYPE_CHECKING:
    from personalize_rt._sync.client import PersonalizeRuntime

__all__ = ["asked", "resumed"]


def asked(
    runtime: PersonalizeRuntime,
    arn: str,
    arguments: dict[str, Any],
    *,
    size: int,
    total: int,
    store: PageStore | None,
    exclude: Seen,
) -> Pages:
    """Ask for all rows, and keep them, if there is a store and it works.

    Args:
        runtime: Who asks.
        arn: The campaign or recommender.
        arguments: Those of the request, but for the number of rows.
        size: The rows on a page.
        total: The most rows of all pages.
        store: Where the answer lies, or ``None``.
        exclude: Items that were seen.
    """
    if store is not None:
        check_store(store)
    call = PageCall(arn, arguments["user_id"], runtime._policies)
    with_metadata = bool(arguments.get("metadata_columns"))
    arguments["num_results"] = call.asks_for(size, total, exclude, runtime._limits, with_metadata=with_metadata)
    pages = call.pages(runtime.get_recommendations(**arguments), resumable=store is not None)
    if store is None or not len(pages):
        return pages
    under_way = call.put(pages, store)
    if under_way is None:
        return pages
    with suppress(Exception):  # looked at below; a store that is only late gets the answer all the same
        result_within(call.patience(), under_way)
    failure = under_way.exception() if under_way.done() else None
    return pages if failure is None else call.not_kept(pages, failure)


def resumed(runtime: PersonalizeRuntime, arn: str, user_id: str | None, token: str, store: PageStore) -> Pages:
    """Read the pages behind a token.

    Raises:
        PageTokenError: They cannot be had.
        ValidationError: There is no store.
    """
    check_store(store)
    call = PageCall(arn, user_id, runtime._policies)
    read = call.read(token)
    found = call.get(read, store)
    if not isinstance(found, Future):
        return call.resumed(read, found, store)
    try:
        entry = result_within(call.deadline, found)
    except Exception as failure:
        failed = Failed(call.unavailable(failure))
    else:
        return call.resumed(read, entry, store)
    failed.unwrap()  # out of the handler: what a store says may show anything
