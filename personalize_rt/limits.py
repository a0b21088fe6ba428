"""The service's published limits.

They are defined here only, for client, filters, re-ranker and embedded service.
Sources: the service model (shapes of ``personalize-runtime`` 2018-05-22) and the Developer Guide's pages
"Amazon Personalize endpoints and quotas" and API reference (service.md sections 1.8, 2.1, 3.1 and 3.3).
"""

from __future__ import annotations

import attrs

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe

__all__ = ["DEFAULT_NUM_ACTIONS", "DEFAULT_NUM_RESULTS", "Limits"]

DEFAULT_NUM_RESULTS = 25
"""Items of GetRecommendations when ``num_results`` is not given (API reference: numResults)."""
DEFAULT_NUM_ACTIONS = 5
"""Actions of GetActionRecommendations, likewise."""


@attrs.frozen(repr=False)
class Limits:
    """The limits on one request. ``None`` means that a limit is not checked. ``repr`` shows those that were changed.

    If the service has relaxed a limit, pass ``Limits(input_list=1000)`` to follow it, or ``Limits.off()`` to leave
    every check to the service.

    Attributes:
        input_list: Items in ``input_list`` of GetPersonalizedRanking (API reference: 500).
        input_list_with_metadata: The same with metadata columns (API reference: 50).
        num_results: Largest ``num_results`` of GetRecommendations (API reference: 500).
        num_results_with_metadata: The same with metadata columns (API reference: 50).
        num_actions: Largest ``num_results`` of GetActionRecommendations (API reference: 100).
        id_length: Characters of a user, item or action id (model: UserID, ItemID, ActionID: 256).
        arn_length: Characters of an ARN (model: Arn: 256).
        filter_values: Entries of ``filter_values`` (model: FilterValues: 25).
        filter_key_length: Characters of a filter parameter's name (model: 50).
        filter_value_length: Characters of a filter value once encoded (model: 1,000).
        filter_expression_length: Characters of a filter expression (model: FilterExpression: 2,500).
        filter_fields: Distinct fields in one filter, over all its chained expressions (guide, limits: 10).
        context_entries: Entries of ``context`` (model: Context: 150).
        context_key_length: Characters of a context key (model: 150).
        context_value_length: Characters of a context value (model: 1,000).
        metadata_columns: Columns of item metadata in one request (API reference: 10).
        metadata_column_length: Characters of a column's name (model: 150).
        promotions: Promotions in one request (model: PromotionList: 1).
        promotion_name_length: Characters of a promotion's name (model: 63).
        promotion_percent: Largest percentage of promoted items (model: 100).
        patterns: Whether to check ARNs and names against the model's patterns, and lower bounds (at least one item, a
            percentage of at least 1, a user where one is required).

    Raises:
        ValidationError: A limit is neither a whole number of at least 0 nor ``None``.
    """

    input_list: int | None = 500
    input_list_with_metadata: int | None = 50
    num_results: int | None = 500
    num_results_with_metadata: int | None = 50
    num_actions: int | None = 100
    id_length: int | None = 256
    arn_length: int | None = 256
    filter_values: int | None = 25
    filter_key_length: int | None = 50
    filter_value_length: int | None = 1000
    filter_expression_length: int | None = 2500
    filter_fields: int | None = 10
    context_entries: int | None = 150
    context_key_length: int | None = 150
    context_value_length: int | None = 1000
    metadata_columns: int | None = 10
    metadata_column_length: int | None = 150
    promotions: int | None = 1
    promotion_name_length: int | None = 63
    promotion_percent: int | None = 100
    patterns: bool = True

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(type(self)):
            value: object = getattr(self, field.name)
            if field.name == "patterns":
                if not isinstance(value, bool):
                    raise ValidationError(
                        f"patterns must be True or False, not {describe(value)}", parameter="patterns"
                    )
            elif value is not None:
                checks.whole(value, field.name, least=0, note=", or None for no limit")

    def __repr__(self) -> str:
        changed = (field.name for field in attrs.fields(type(self)) if getattr(self, field.name) != field.default)
        return f"Limits({', '.join(f'{name}={getattr(self, name)!r}' for name in changed)})"

    @classmethod
    def off(cls) -> Limits:
        """Make limits that are all off, so that the service decides. Types are still checked."""
        return cls(**{field.name: None for field in attrs.fields(cls) if field.name != "patterns"}, patterns=False)
