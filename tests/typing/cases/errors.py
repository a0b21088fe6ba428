"""The tree of errors, with their attributes, and what each also is."""

from __future__ import annotations

from typing import Any, Literal, assert_type

import personalize_rt as prt

runtime = prt.PersonalizeRuntime()

try:
    runtime.get_recommendations(campaign_arn="arn")
except prt.FilterSyntaxError as error:
    assert_type(error.line, int)
    assert_type(error.column, int)
except prt.PageTokenError as error:
    assert_type(error.reason, Literal["malformed", "unknown", "expired", "unavailable"])
except prt.ValidationError as error:
    assert_type(error.parameter, str | None)
    assert_type(error.limit, int | None)
except prt.ServiceError as error:
    assert_type(error.no_such_resource, bool)
    assert_type(error.code, str)
    assert_type(error.status_code, int | None)
    assert_type(error.request_id, str | None)
    assert_type(error.operation, str)
    assert_type(error.attempts, int)
    assert_type(error.retry_after, float | None)
    assert_type(error.response, Any)
except prt.TransportError as error:
    assert_type(error.phase, Literal["resolve", "connect", "tls", "send", "read"])
    assert_type(error.attempts, int)
except prt.DeadlineExceededError as error:
    assert_type(error.deadline, float)
    assert_type(error.attempts, int)
except prt.QueueFullError as error:
    assert_type(error.message, str)
except prt.CircuitOpenError as error:
    assert_type(error.retry_after, float)
except prt.PersonalizeError as error:
    assert_type(error.message, str)
    assert_type(error.is_retry_safe, bool)

kinds: list[type[prt.ServiceError]] = [
    prt.AccessDeniedError,
    prt.InvalidInputError,
    prt.ResourceNotFoundError,
    prt.ServerError,
    prt.ThrottlingError,
]
all_kinds: list[type[prt.PersonalizeError]] = [*kinds, prt.ConfigurationError, prt.ResponseError]
also_value_error: type[ValueError] = prt.FilterValuesError
also_time_out: type[TimeoutError] = prt.DeadlineExceededError
