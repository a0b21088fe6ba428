"""The questions, as one table: what is believed, why, which requests ask it, and who judges the answers.

A question is asked when all of its requests can be made; judges of several answers look at those that there are.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from personalize_rt.verify import judges
from personalize_rt.verify.judges import Judge

__all__ = ["QUESTIONS", "Question"]


@attrs.frozen
class Question:
    """One thing that only the live service can tell.

    Attributes:
        name: Its name, for reports.
        belief: What this project takes for right, and does in the embedded service.
        source: The reason for the belief: a section of the reference on the service, or ``divergences`` where something
            had to be chosen.
        requests: The requests that ask it, by the names of ``requests.REQUESTS``.
        judge: Says whether the answers are as believed.
        any: Whether some of the requests will do; else all are needed.
        needs: What to give so that it can be asked.
    """

    name: str
    belief: str
    source: str
    requests: tuple[str, ...]
    judge: Judge
    any: bool = False
    needs: str = "a campaign"


_ROWS = ("recommendations", "500 recommendations", "ranking")
_RANKING = "a ranking campaign"
_RANKING_AND_ITEMS = "a ranking campaign, and items that it knows"
_RECOMMENDATIONS = "a campaign or recommender for GetRecommendations"
_FILTER = "a filter, with its values"
_METADATA = "metadata columns"

_ALL = (
    # Order and scores.
    Question("order", "items come by descending score", "service.md section 3.4", _ROWS, judges.descending, any=True),
    Question(
        "order of unknown items",
        "items that a ranking does not know come last, in input order",
        "service.md section 3.5",
        ("ranking",),
        judges.unknown_last,
        needs=_RANKING,
    ),
    Question(
        "scores of unknown items",
        "items that a ranking does not know have no score, not a score of 0",
        "service.md section 3.5",
        ("ranking",),
        judges.unknown_without_score,
        needs=_RANKING,
    ),
    Question(
        "equal scores",
        "items of a ranking with equal scores are in input order",
        "divergences",
        ("ranking", "ranking, reversed"),
        judges.ties,
        needs=_RANKING_AND_ITEMS,
    ),
    Question(
        "duplicates",
        "an item twice in inputList comes back twice, side by side, with one score",
        "divergences",
        ("ranking with duplicates",),
        judges.duplicates,
        needs=_RANKING_AND_ITEMS,
    ),
    Question(
        "sum of a ranking",
        "the scores of a ranking sum to 1",
        "service.md section 4",
        ("ranking",),
        judges.sum_is_one,
        needs=_RANKING_AND_ITEMS,
    ),
    Question(
        "sum of recommendations",
        "the scores of recommendations sum to 1 at the most",
        "service.md section 4",
        ("500 recommendations",),
        judges.sum_is_at_most_one,
        needs=_RECOMMENDATIONS,
    ),
    Question(
        "sum of a filtered ranking",
        "the scores of a filtered ranking sum to 1 over what the filter leaves",
        "service.md section 12, fact 4 (inferred)",
        ("filtered ranking",),
        judges.sum_is_one,
        needs=f"{_RANKING_AND_ITEMS}; {_FILTER}",
    ),
    Question(
        "sum of filtered recommendations",
        "the scores of filtered recommendations sum to 1 over what the filter lets through",
        "service.md section 12, fact 4",
        ("filtered recommendations",),
        judges.sum_is_one,
        needs=f"{_RECOMMENDATIONS}; {_FILTER}",
    ),
    Question("digits", "scores have up to 7 decimals", "service.md section 4", _ROWS, judges.seven_decimals, any=True),
    # The wire.
    Question(
        "small numbers",
        "scores below 0.001 are written as 9.841E-4, others without an exponent",
        "service.md section 12, fact 6",
        _ROWS,
        judges.small_numbers,
        any=True,
    ),
    Question(
        "null members",
        "each item has itemId, score, promotionName, metadata and reason, null where there is nothing",
        "service.md section 12, fact 5",
        _ROWS,
        judges.null_members,
        any=True,
    ),
    Question(
        "other members",
        "any other member of an item is null",
        "service.md section 12, fact 5",
        _ROWS,
        judges.other_members,
        any=True,
    ),
    Question(
        "order of members",
        "an item begins with itemId and score",
        "service.md section 5.2",
        _ROWS,
        judges.row_order,
        any=True,
    ),
    Question(
        "white space",
        "the JSON has no white space between its parts",
        "service.md section 5.2",
        _ROWS,
        judges.compact,
        any=True,
    ),
    Question(
        "recommendation id",
        "its form is RID-xx-xxxx-xxxx-xxxxxxxxxxxx-CID-xxxxxx",
        "service.md section 3.10",
        _ROWS,
        judges.recommendation_id,
        any=True,
    ),
    Question(
        "form of an error",
        "an error has its code in x-amzn-errortype, its text in message, and a request id",
        "service.md section 5.3",
        ("unknown campaign or recommender",),
        judges.form_of_an_error,
    ),
    Question(
        "throttling",
        "a throttled request gets ThrottlingException with status 400 (not provoked)",
        "service.md section 5.3",
        (),
        judges.throttles,
    ),
    # Requests.
    Question(
        "unknown campaign",
        "a campaign or recommender that does not exist: InvalidInputException",
        "service.md section 12, fact 1",
        ("unknown campaign or recommender",),
        judges.refused,
    ),
    Question(
        "text of an unknown campaign",
        "… with the message '<arn> does not exist or is not active yet.'",
        "service.md section 12, fact 1",
        ("unknown campaign or recommender",),
        judges.text_of_a_missing_resource,
    ),
    Question(
        "unknown filter",
        "a filter that does not exist: InvalidInputException",
        "service.md section 12, fact 1 (one application)",
        ("unknown filter",),
        judges.refused,
    ),
    Question(
        "numResults 0",
        "numResults 0 is as if it were absent",
        "divergences",
        ("numResults 0", "recommendations"),
        judges.default_number,
        needs=_RECOMMENDATIONS,
    ),
    Question(
        "numResults 501",
        "numResults 501: InvalidInputException",
        "service.md section 3.3",
        ("numResults 501",),
        judges.refused,
        needs=_RECOMMENDATIONS,
    ),
    Question(
        "numResults as text",
        'numResults "25", a string: InvalidInputException',
        "divergences",
        ("numResults as text",),
        judges.refused,
        needs=_RECOMMENDATIONS,
    ),
    Question(
        "501 items",
        "inputList of 501 items: InvalidInputException",
        "service.md section 3.3",
        ("ranking of 501 items",),
        judges.refused,
        needs=_RANKING,
    ),
    Question(
        "no items",
        "an empty inputList: InvalidInputException",
        "divergences",
        ("ranking of nothing",),
        judges.refused,
        needs=_RANKING,
    ),
    Question(
        "empty user",
        "a ranking for an empty userId: InvalidInputException",
        "divergences",
        ("ranking for an empty user",),
        judges.refused,
        needs=_RANKING,
    ),
    # Filter values.
    Question(
        "empty filterValues",
        "empty filterValues without filterArn are answered",
        "divergences",
        ("empty filterValues",),
        judges.answered,
    ),
    Question(
        "filterValues alone",
        "filterValues without filterArn: InvalidInputException",
        "divergences",
        ("filterValues without filterArn",),
        judges.refused,
    ),
    Question(
        "extra filter value",
        "a value for a parameter that the filter does not have: InvalidInputException",
        "divergences",
        ("value that the filter does not have",),
        judges.refused,
        needs=_FILTER,
    ),
    Question(
        "missing value of INCLUDE",
        "a missing value of an INCLUDE: InvalidInputException",
        "service.md section 1.6",
        ("INCLUDE without its value",),
        judges.refused,
        needs="a filter with a parameter in an INCLUDE, its value and its expression",
    ),
    Question(
        "missing value of EXCLUDE",
        "a missing value of an EXCLUDE is answered",
        "service.md section 1.6",
        ("EXCLUDE without its value",),
        judges.answered,
        needs="a filter with a parameter in an EXCLUDE, its value and its expression",
    ),
    Question(
        "value without quotes",
        "a string without quotes: InvalidInputException",
        "service.md section 2.2",
        ("value without quotes",),
        judges.refused,
        needs="a filter with a value that is a string",
    ),
    Question(
        "escaped quote",
        'a string with \\" in it: InvalidInputException',
        "service.md section 2.2",
        ("value with an escaped quote",),
        judges.refused,
        needs="a filter with a value that is a string",
    ),
    Question(
        "number in quotes",
        "a number in quotes is answered",
        "service.md section 2.2",
        ("number in quotes",),
        judges.answered,
        needs="a filter with a value that is a number",
    ),
    # Metadata, context, promotions.
    Question(
        "metadata keys",
        "keys of metadata are columns in lower case, with their underscores",
        "service.md section 12, fact 2",
        ("metadata",),
        judges.metadata_keys,
        needs=_METADATA,
    ),
    Question(
        "metadata values",
        "values of metadata are strings",
        "service.md section 3.8",
        ("metadata",),
        judges.metadata_values,
        needs=_METADATA,
    ),
    Question(
        "metadata columns in another case",
        "metadataColumns are found in any case",
        "service.md section 12, fact 3",
        ("metadata", "metadata in another case"),
        judges.metadata_in_any_case,
        needs=_METADATA,
    ),
    Question(
        "unknown metadata column",
        "a metadata column that does not exist: InvalidInputException",
        "divergences",
        ("metadata of an unknown column",),
        judges.refused,
        needs=_METADATA,
    ),
    Question(
        "metadata of 51 items",
        "numResults 51 with metadata: InvalidInputException",
        "service.md section 3.3",
        ("metadata of 51 items",),
        judges.refused,
        needs=f"{_RECOMMENDATIONS}; {_METADATA}",
    ),
    Question(
        "context in another case",
        "keys of context are matched in any case",
        "service.md section 12, fact 3 (by analogy)",
        ("context in another case",),
        judges.answered,
        needs="contextual metadata that the campaign uses",
    ),
    Question(
        "unknown context",
        "a key of context that does not exist: InvalidInputException",
        "divergences",
        ("context of an unknown key",),
        judges.refused,
        needs="contextual metadata that the campaign uses",
    ),
    Question(
        "share of promotions",
        "30 percent of 15 items are 4 promoted items: rounded down",
        "divergences",
        ("promotion", "filtered recommendations"),
        judges.promoted_share,
        needs=f"{_RECOMMENDATIONS}; {_FILTER}",
    ),
)

QUESTIONS: Mapping[str, Question] = {question.name: question for question in _ALL}
