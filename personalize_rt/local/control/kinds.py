"""The kinds of resources of Amazon Personalize, with their names in requests, replies and ARNs.

Source: the model of ``personalize`` (2018-05-22), and of ARNs the examples of the API reference.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["KINDS", "Kind"]

_TIMES = ("creationDateTime", "lastUpdatedDateTime")


@attrs.frozen
class Kind:
    """A kind of resource.

    Attributes:
        name: Its name in operations (``"SolutionVersion"``).
        part: Its name in ARNs (``"solution"``).
        summary: The members of one row of List.
        within: The member of List that narrows the rows to a parent; empty if there is none.
        taggable: Whether it may have tags (guide, "Tagging Amazon Personalize resources").
        listed: Members that List tells and Describe does not.
        rows: The member of the reply of List; by default the member of Describe with an s.
    """

    name: str
    part: str
    summary: tuple[str, ...] = ()
    within: str = ""
    taggable: bool = True
    listed: tuple[str, ...] = ()
    rows: str = attrs.field(default=attrs.Factory(lambda kind: f"{kind.member}s", takes_self=True))

    @property
    def member(self) -> str:
        """The member of the reply of Describe (``"solutionVersion"``)."""
        return self.name[0].lower() + self.name[1:]

    @property
    def arn(self) -> str:
        """The member that holds its ARN (``"solutionVersionArn"``)."""
        return f"{self.member}Arn"

    @property
    def label(self) -> str:
        """The name in a sentence."""
        return "".join(f" {char.lower()}" if char.isupper() else char for char in self.name).strip()

    def is_of(self, arn: str) -> bool:
        """Tell whether an ARN may be one of this kind. One of a solution may be that of a version, too."""
        return arn.split(":", 5)[-1].partition("/")[0] == self.part


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "DatasetGroup",
            "dataset-group",
            ("name", "datasetGroupArn", "status", *_TIMES, "failureReason", "domain"),
        ),
        Kind("Schema", "schema", ("name", "schemaArn", *_TIMES, "domain"), taggable=False),
        Kind("Dataset", "dataset", ("name", "datasetArn", "datasetType", "status", *_TIMES), "datasetGroupArn"),
        Kind("Solution", "solution", ("name", "solutionArn", "status", *_TIMES, "recipeArn"), "datasetGroupArn"),
        Kind(
            "SolutionVersion",
            "solution",
            ("solutionVersionArn", "status", "trainingMode", "trainingType", *_TIMES, "failureReason"),
            "solutionArn",
        ),
        Kind("Campaign", "campaign", ("name", "campaignArn", "status", *_TIMES, "failureReason"), "solutionArn"),
        Kind(
            "Recommender",
            "recommender",
            ("name", "recommenderArn", "datasetGroupArn", "recipeArn", "recommenderConfig", "status", *_TIMES),
            "datasetGroupArn",
        ),
        Kind(
            "Filter",
            "filter",
            ("name", "filterArn", *_TIMES, "datasetGroupArn", "failureReason", "status"),
            "datasetGroupArn",
            rows="Filters",
        ),
        Kind("EventTracker", "event-tracker", ("name", "eventTrackerArn", "status", *_TIMES), "datasetGroupArn"),
        Kind(
            "Recipe",
            "recipe",
            ("name", "recipeArn", "status", *_TIMES, "domain"),
            "domain",
            taggable=False,
            listed=("domain",),
        ),
        Kind(
            "DatasetImportJob",
            "dataset-import-job",
            ("datasetImportJobArn", "jobName", "status", *_TIMES, "failureReason", "importMode"),
            "datasetArn",
        ),
        Kind(
            "DatasetExportJob",
            "dataset-export-job",
            ("datasetExportJobArn", "jobName", "status", *_TIMES, "failureReason"),
            "datasetArn",
        ),
        Kind(
            "BatchInferenceJob",
            "batch-inference-job",
            (
                *("batchInferenceJobArn", "jobName", "status", *_TIMES, "failureReason", "solutionVersionArn"),
                "batchInferenceJobMode",
            ),
            "solutionVersionArn",
        ),
        # Those that nothing creates here: of them there are none, which Describe and List can truly say.
        Kind("BatchSegmentJob", "batch-segment-job", within="solutionVersionArn"),
        Kind("DataDeletionJob", "data-deletion-job", within="datasetGroupArn"),
        Kind("MetricAttribution", "metric-attribution", within="datasetGroupArn"),
    )
}
