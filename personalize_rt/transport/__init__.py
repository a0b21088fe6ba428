"""The only package that knows botocore.

It builds clients, sends one request at a time, and turns what botocore raises into our errors. What it relies on,
beyond botocore's documented interface:

* ``client.meta.config.retries`` holds the retry settings in force, environment and profile included; without
  ``total_max_attempts`` the mode's default counts (5 for legacy, 3 for standard and adaptive).
* A ``before-send`` handler that returns an ``AWSResponse`` answers instead of the network, and the handler that was
  registered first wins (``register_first`` comes before moto's).
* The error behind ``EndpointConnectionError`` and ``HTTPClientError`` is in ``kwargs["error"]``.
* ``ResponseMetadata`` of a reply and of an error holds ``RequestId``, ``HTTPStatusCode``, ``HTTPHeaders`` (names in
  lower case) and ``RetryAttempts``.
* ``client._get_credentials()`` gives the credentials that the client signs with, which ``client._request_signer`` has
  in ``_credentials`` and asks for ``get_frozen_credentials()``; those that expire have ``refresh_needed(seconds)``,
  ``_mandatory_refresh_timeout`` and ``_frozen_credentials``.
* The traceback of an exception says that fetching credentials raised it: ``botocore.credentials`` is in it, with the
  ``METHOD`` or ``method`` of a provider, and ``_make_api_call`` of the client that asked for them.
* ``session.get_component("credential_provider").get_provider("iam-role")._role_fetcher`` knows the address of the
  instance metadata service.
* The ``data_loader`` of a session reads its files with its ``file_loader``, whose ``_load_file`` parses one.

Requests of a client that we build take one of three ways (:mod:`personalize_rt.transport.ways`). What they stand on
beside that is looked at in each call, or when the client is built; where it is not as expected, botocore alone sends.
ADR 0001 counts the names.

* ``clients``: building clients, and looking at those of callers; ``in_process``: a client that needs no network.
* ``credentials``: fetching credentials beside the calls; ``metadata``: the metadata service of an instance.
* ``sending``, ``asynchronous``: one request, for threads and for event loops; ``replies``: what an answer holds.
* ``watching``, ``own``: who is watching; ``ways``: the choice; ``direct``, ``plan``, ``rehearsal``, ``through``,
  ``workers``: the ways themselves.
* ``sender``, ``connections``, ``streams``, ``http_answer``, ``attempt``: bytes over sockets.
* ``aio_clients``: what a caller hands in of aiobotocore.
* ``asking``: bodies of one's own through a twin of a client; it says what it stands on.
* ``objects``: objects of S3, on a server or in moto.
* ``failures``: what botocore raises, in our terms, with ``credential_failures``, ``tls`` and ``codes``.

``tests/transport/test_botocore_contract.py`` fails when one of these changes.
"""

from personalize_rt.transport.sending import Attempt, Reply, Transport

__all__ = ["Attempt", "Reply", "Transport"]
