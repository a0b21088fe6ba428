"""The client for asyncio, written by hand; ``nox -s twins`` writes ``personalize_rt/_sync`` from it."""
