"""The words that differ between ``personalize_rt/_async`` and its twin; an entry that nothing uses fails.

A new name or sentence of the async code goes here only when it has to be another one in the twin.
"""

# In code, docstrings, strings and comments: whole words.
NAMES = {
    "AsyncBoto3Client": "Boto3Client",
    "AsyncCampaign": "Campaign",
    "AsyncEventTracker": "EventTracker",
    "AsyncPersonalizeRuntime": "PersonalizeRuntime",
    "AsyncRecommender": "Recommender",
    "AsyncRetrying": "Retrying",
    "AsyncTransport": "Transport",
    "_async": "_sync",
    "aclose": "close",
    "asynchronous": "sending",  # personalize_rt.transport
    "tasks": "threads",  # personalize_rt.resilience
}

# In docstrings, strings and comments, line by line as they stand there; lines after the first are indented from its
# indentation.
SENTENCES = [
    # __init__.py
    (
        "The client for asyncio, written by hand; ``nox -s twins`` writes ``personalize_rt/_sync`` from it.",
        "The client of :mod:`personalize_rt.client`.",
    ),
    # client.py
    ("The façade for asyncio: ", "The façade: "),
    ("Amazon Personalize Runtime for asyncio, typed.", "Amazon Personalize Runtime, typed."),
    (
        """\
It may be shared by the tasks of an event loop, and is cheap to build: the aiobotocore client comes with the first
call, or with :meth:`connect`. Use it in ``async with``, or :meth:`aclose` it, to give its connections back. In
another event loop it builds another client. Whoever cancels a call cancels its requests.

A client that it builds is what aiobotocore's ``create_client`` gives, with botocore's own retries off, a connect
time-out of 0.5 s, a read time-out of 1 s, TCP keep-alive and a pool of 50 connections.""",
        """\
It may be shared by threads, and is cheap to build: the boto3 client comes with the first call, or with
:meth:`connect`. Use it as a context manager, or :meth:`close` it, to give its connections back.

A client that it builds is what ``boto3.client`` returns, with botocore's own retries off, a connect time-out of
0.5 s, a read time-out of 1 s, TCP keep-alive and a pool of 50 connections.""",
    ),
    (
        """\
client: An aiobotocore ``personalize-runtime`` client of yours. It is never modified and never closed. ``None``
    builds one.""",
        """\
client: Any boto3 ``personalize-runtime`` client: yours, stubbed, under moto. It is never modified and never
    closed. ``None`` builds one.""",
    ),
    (
        "session: What ``aiobotocore.session.get_session()`` returns, to build the client from; by default a new one.",
        "session: A ``boto3.Session`` to build the client from; by default ``boto3.setup_default_session``'s.",
    ),
    (
        """\
config: A ``botocore.config.Config`` or ``aiobotocore.config.AioConfig``, merged over the settings above. Its
    ``retries`` are refused.""",
        "config: A ``botocore.config.Config``, merged over the settings above. Its ``retries`` are refused.",
    ),
    (
        """\
 Its ``sleep`` may be a coroutine
    function; by default ``asyncio.sleep``.""",
        "",
    ),
    (
        """\
waits, retries, looking up the host
    name, waiting for a connection of the pool and the time for an answer included. ``None`` means no end.""",
        """\
waits, retries and the time for an
    answer included. Looking up the host name is the operating system's, and is not bounded. ``None`` means
    no end.""",
    ),
    (
        """\
enforce_deadline: Hold the deadline for a ``client`` of yours too, by cancelling its request. Otherwise the
    deadline only decides whether another attempt starts.""",
        """\
enforce_deadline: Hold the deadline for a ``client`` of yours too, by sending on a thread that is left behind
    when it does not answer in time. A client that this runtime builds needs no thread for it.""",
    ),
    (
        """\
Importing aiobotocore and loading the service's model keep the event loop busy for some tenths of a second.

Raises:
    ConfigurationError: No region, profile or credentials; aiobotocore is not installed.""",
        """\
Raises:
    ConfigurationError: No region, profile or credentials.""",
    ),
    (
        "End what runs in the background, and close the client, if this runtime built it.",
        "Close the client, if this runtime built it.",
    ),
    # as_boto3.py
    (", through the runtime for asyncio.", ", through the runtime."),
    # handles.py
    ("The handles of the async client: ", "The handles of the client: "),
    # tracker.py
    ("The event tracker for asyncio: ", "The event tracker: "),
    (
        """\
It belongs to one event loop at a time. Use it in ``async with``, or :meth:`aclose` it: that empties the queue. What
is left when the interpreter exits is sent then, in an event loop of its own.""",
        """\
It may be shared by threads. Use it as a context manager, or :meth:`close` it: that empties the queue. What is left
when the interpreter exits is sent then.""",
    ),
    (
        """\
client: An aiobotocore ``personalize-events`` client of yours. It is never modified and never closed. ``None``
    builds one.""",
        """\
client: Any boto3 ``personalize-events`` client: yours, stubbed, under moto. It is never modified and never
    closed. ``None`` builds one.""",
    ),
    (
        """\
config: A ``botocore.config.Config`` or ``aiobotocore.config.AioConfig``, merged over the settings of a runtime.
    Its ``retries`` are refused.""",
        """\
config: A ``botocore.config.Config``, merged over the settings of a runtime. Its ``retries`` are refused.""",
    ),
    (
        "ConfigurationError: No region, profile or credentials; aiobotocore is not installed.",
        "ConfigurationError: No region, profile or credentials.",
    ),
    # driver.py
    ("The driver of the async client: ", "The driver of the client: "),
    (
        """\


Whoever cancels a call gets the cancellation back at once; its connection, its place as a probe of the breaker and the
tokens of a retry without an outcome are given back on the way.""",
        "",
    ),
    # long.py
    ("the part of the async driver", "the part of the driver"),
]
