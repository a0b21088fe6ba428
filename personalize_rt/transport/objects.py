"""Objects of S3: reading, listing, and creating them without overwriting.

The client is built for one of two places: a server whose address somebody gave, or moto in this process. The client of
moto has no way to the network: what moto does not answer fails, whatever happens to ``mock_aws()`` meanwhile.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, cast

from personalize_rt import forks
from personalize_rt.transport.untyped import untyped

__all__ = ["Objects", "ObjectsError"]

_CONNECT_TIMEOUT = 5.0  # seconds
_READ_TIMEOUT = 20.0  # seconds
_REGION = "us-east-1"
_BUFFER = 1 << 16
# The codes of S3, and the bare statuses that stand in their place in answers without a body.
_KINDS = {
    "NoSuchKey": "missing",
    "NoSuchBucket": "no bucket",
    "NotFound": "missing",
    "404": "missing",
    "PreconditionFailed": "taken",
    "ConditionalRequestConflict": "taken",
    "412": "taken",
    "409": "taken",
    "AccessDenied": "denied",
    "403": "denied",
}


class ObjectsError(Exception):
    """S3 did not do what it was asked for.

    Args:
        kind: ``"missing"``, ``"no bucket"``, ``"taken"``, ``"denied"`` or ``"failed"``.
        message: The reason of a failure, without a value of the request.
    """

    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message


class _Unanswered:
    """Stands where botocore has its session for HTTP: nothing leaves the process."""

    def send(self, request: Any) -> Any:
        raise ObjectsError("failed", "mock_aws() does not answer requests for S3 (any more)")

    def close(self) -> None:
        pass


class Objects:
    """The objects of S3 behind one address. Safe to share between threads.

    Args:
        endpoint_url: The address of the server, which is called with the settings and credentials that boto3 finds in
            the environment. ``None`` for moto in this process, with made-up credentials.
    """

    _made_lock = forks.lock()

    def __init__(self, endpoint_url: str | None) -> None:
        self._endpoint_url = endpoint_url
        self._build: Callable[[], Any] = self._of_moto if endpoint_url is None else self._of_server

    @property
    def _client(self) -> Any:
        # In its own attribute, so that a forked child does not use the connections of its parent.
        with self._made_lock:
            made = self.__dict__.get("_made")
            if made is None or made[0] != os.getpid():
                with _translated():
                    made = self.__dict__["_made"] = os.getpid(), self._build()
        return made[1]

    def _of_server(self) -> Any:
        session = untyped("boto3").session.Session()
        region = session.region_name or _REGION
        return session.client("s3", endpoint_url=self._endpoint_url, region_name=region, config=_config())

    def _of_moto(self) -> Any:
        # No profile and no file: nothing of the machine matters here.
        nowhere = (None, None, os.devnull, None)
        names = {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
        client = (
            untyped("botocore.session")
            .Session(session_vars=names)
            .create_client(
                "s3",
                region_name=_REGION,
                endpoint_url="https://s3.amazonaws.com",  # by which moto knows requests for S3
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
                config=_config(),
            )
        )
        client._endpoint.http_session = _Unanswered()
        return client

    @contextmanager
    def open(self, bucket: str, key: str) -> Generator[BinaryIO, None, None]:
        """Open an object for reading.

        Raises:
            ObjectsError: It cannot be opened, or while it is read: the connection broke.
        """
        client = self._client
        with _translated():
            body = client.get_object(Bucket=bucket, Key=key)["Body"]
        try:
            yield cast("BinaryIO", io.BufferedReader(_Body(body), _BUFFER))
        finally:
            body.close()

    def names(self, bucket: str, prefix: str, most: int) -> list[str]:
        """The keys that begin with a prefix and have no further ``/``.

        Args:
            bucket: The bucket.
            prefix: The prefix, which ends with ``/``.
            most: The most keys, at most 999; one more is returned if there are more.

        Raises:
            ObjectsError: They cannot be listed.
        """
        client = self._client
        with _translated():
            # One more for the object by which consoles make a folder, and one to see that there are more.
            page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", MaxKeys=most + 2)
        keys = [str(row["Key"]) for row in page.get("Contents", ())]
        return [key for key in keys if key != prefix][: most + 1]

    def create(self, bucket: str, key: str, content: IO[bytes]) -> None:
        """Write an object whose key is not taken. The server makes sure of that, if it knows ``If-None-Match``.

        Raises:
            ObjectsError: The key is taken (``"taken"``), or it cannot be written.
        """
        client = self._client
        with _translated():
            client.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")

    def has(self, bucket: str, key: str) -> bool:
        """Tell whether there is an object.

        Raises:
            ObjectsError: It cannot be told.
        """
        client = self._client
        try:
            with _translated():
                client.head_object(Bucket=bucket, Key=key)
        except ObjectsError as error:
            if error.kind == "missing":
                return False
            raise
        return True


class _Body(io.RawIOBase):
    """The body of an answer, whose failures are ours."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        with _translated():
            content: bytes = self._body.read(len(view))
        view[: len(content)] = content
        return len(content)


@contextmanager
def _translated() -> Generator[None, None, None]:
    errors = untyped("botocore.exceptions")
    try:
        yield
    except errors.ClientError as error:
        response = error.response
        code = str(response.get("Error", {}).get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        # Its message may repeat what it was asked for, and more.
        shown = code if code.isascii() and code.isalnum() and len(code) <= 64 else "an error"
        raise ObjectsError(_KINDS.get(code, "failed"), f"S3 answered {shown} (status {status})") from None
    except (errors.BotoCoreError, errors.HTTPClientError, OSError) as error:
        raise ObjectsError("failed", f"S3 could not be asked: {type(error).__name__}") from None


def _config() -> Any:
    return untyped("botocore.config").Config(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": 2},
        # A name of a bucket must not become one of a host.
        s3={"addressing_style": "path"},
        # Servers other than that of AWS do not know the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
