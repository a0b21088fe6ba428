"""The inference rule, the reading of Avro schemas, and the parsing of cells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.local.places import Source
from personalize_rt.local.problems import Problems
from personalize_rt.local.schemas import DATASETS, Field, FieldType, Schema, infer, parse, read_schema

ITEMS = DATASETS["items"]
INTERACTIONS = DATASETS["interactions"]


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        (["7", "-40", "0"], Field("X", "long")),
        (["7", "", "8"], Field("X", "long", nullable=True)),
        (["007", "8"], Field("X", "string")),
        (["1234567890123456789", "1"], Field("X", "string")),
        (["19.5", "7"], Field("X", "double")),
        (["1e-3", "-.5", "2."], Field("X", "double")),
        (["00.5", "7"], Field("X", "string")),
        (["0.5", "0"], Field("X", "double")),
        (["nan", "1"], Field("X", "string")),
        (["inf", "1"], Field("X", "string")),
        (["1_000", "2"], Field("X", "string")),
        (["٣", "٤"], Field("X", "string")),
        (["true", "false"], Field("X", "string")),
        (["red", "blue", "green"], Field("X", "string")),
        (["red", "blue", "red", "red"], Field("X", "string", categorical=True)),
        (["red|blue", "green", "black"], Field("X", "string", categorical=True)),
        (["", ""], Field("X", "string", nullable=True)),
        (["w" * 1001, "short", "short", "short"], Field("X", "string", textual=True)),
        (["w" * 1000, "short"], Field("X", "string")),
    ],
    ids=lambda value: None if isinstance(value, Field) else "|".join(value)[:30] or "empty",
)
def test_type_is_inferred_by_the_rule(cells: list[str], field: Field) -> None:
    assert infer("X", cells, ITEMS) == field


def test_reserved_columns_have_the_types_of_the_guide() -> None:
    assert infer("CREATION_TIMESTAMP", ["x"], ITEMS) == Field("CREATION_TIMESTAMP", "long", nullable=True)
    assert infer("EVENT_VALUE", ["7"], INTERACTIONS) == Field("EVENT_VALUE", "float", nullable=True)
    assert infer("TIMESTAMP", ["7"], INTERACTIONS) == Field("TIMESTAMP", "long")
    assert infer("ITEM_ID", ["7"], ITEMS) == Field("ITEM_ID", "string")


@given(st.lists(st.integers(-(10**17), 10**17).map(str) | st.just("")))
def test_inferred_whole_numbers_parse_without_a_problem(cells: list[str]) -> None:
    values, wrong = parse(infer("X", cells, ITEMS), cells, ITEMS)
    assert not wrong
    assert values == [int(cell) if cell and any(cells) else None for cell in cells]


@given(st.lists(st.text(max_size=20)))
def test_every_column_parses_as_what_it_was_inferred_to_be(cells: list[str]) -> None:
    values, wrong = parse(infer("X", cells, ITEMS), cells, ITEMS)
    assert not wrong
    assert [value is None for value in values] == [not cell for cell in cells]


@given(
    st.lists(
        st.sampled_from(["", "1", "12", "-3", "4.5", "x", "1e5", "true", "2147483648", "1234567890123456789"]),
        max_size=8,
    )
)
def test_block_and_single_cells_are_parsed_alike(cells: list[str]) -> None:
    types: list[FieldType] = ["string", "long", "int", "double", "float", "boolean"]
    for field in (Field("X", type, nullable=True) for type in types):
        singly = [parse(field, [cell, ""], ITEMS)[0][0] for cell in cells]
        values, wrong = parse(field, cells, ITEMS)
        assert values == singly
        assert list(map(type, values)) == list(map(type, singly))
        assert [n for n, _ in wrong] == [n for n, cell in enumerate(cells) if cell and singly[n] is None]


@pytest.mark.parametrize(
    ("field", "dataset", "cell", "expected"),
    [
        (Field("X", "long"), ITEMS, "7.5", "a whole number"),
        (Field("X", "long"), ITEMS, "", "an empty cell"),
        (Field("X", "int"), ITEMS, "2147483648", "32 bits"),
        (Field("X", "double"), ITEMS, "nan", "a decimal number"),
        (Field("X", "double"), ITEMS, "1e999", "a decimal number"),
        (Field("X", "boolean"), ITEMS, "True", "lower case"),
        (Field("X", "string", categorical=True), ITEMS, "x" * 1001, "at most 1,000"),
        (Field("ITEM_ID"), ITEMS, "", "an id"),
        (Field("ITEM_ID"), ITEMS, "x" * 257, "at most 256"),
        (Field("TIMESTAMP", "long"), INTERACTIONS, "1362062307000", "not milliseconds"),
        (Field("VALUE", "long", nullable=True), DATASETS["actions"], "11", "from 1 to 10"),
        (Field("VALUE", "long", nullable=True), DATASETS["actions"], "0", "from 1 to 10"),
        (Field("EVENT_TYPE"), DATASETS["action_interactions"], "Taken", "TAKEN, NOT_TAKEN, VIEWED"),
    ],
)
def test_wrong_cell_says_what_was_expected_and_shows_no_value(
    field: Field, dataset: Any, cell: str, expected: str
) -> None:
    values, wrong = parse(field, [cell], dataset)

    assert values == [None]
    assert [index for index, _ in wrong] == [0]
    assert expected in wrong[0][1]
    assert len(cell) < 3 or cell not in wrong[0][1]


# Avro


def avro(*fields: Any, **more: Any) -> str:
    given = [{"name": "ITEM_ID", "type": "string"}, *fields]
    return json.dumps({"type": "record", "name": "Items", "fields": given, "version": "1.0", **more})


def read(text: str, dataset: str = "items") -> tuple[Schema | None, list[str]]:
    problems = Problems()
    schema = read_schema(Source("items.schema.json", text), DATASETS[dataset], problems)
    return schema, [str(problem) for problem in problems.found]


def test_schema_of_the_guide_is_read() -> None:
    schema, problems = read(
        avro(
            {"name": "GENRES", "type": ["null", "string"], "categorical": True},
            {"name": "PLOT", "type": "string", "textual": True},
            {"name": "PRICE", "type": ["float", "null"]},
            {"name": "ADULT", "type": "boolean"},
            {"name": "CREATION_TIMESTAMP", "type": "long"},
            namespace="com.amazonaws.personalize.schema",
        )
    )
    assert problems == []
    assert schema == Schema(
        {
            "ITEM_ID": Field("ITEM_ID"),
            "GENRES": Field("GENRES", nullable=True, categorical=True),
            "PLOT": Field("PLOT", textual=True),
            "PRICE": Field("PRICE", "float", nullable=True),
            "ADULT": Field("ADULT", "boolean"),
            "CREATION_TIMESTAMP": Field("CREATION_TIMESTAMP", "long"),
        }
    )


def test_name_of_action_interactions_is_taken_in_both_spellings() -> None:
    fields = [{"name": name, "type": "string"} for name in ("USER_ID", "ACTION_ID", "EVENT_TYPE")]
    fields.append({"name": "TIMESTAMP", "type": "long"})
    for name in ("ActionInteractions", "Action_Interactions"):
        text = json.dumps({"type": "record", "name": name, "fields": fields})
        assert read(text, "action_interactions")[1] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type": "record",\n "fields" []}', "line 2, column 11: expected JSON"),
        ("[]", "expected an Avro record"),
        ('{"type": "record", "name": "Items"}', "expected an Avro record"),
        (avro(type="enum"), 'expected "type": "record"'),
        (avro(name="Users"), 'expected "name": "Items"'),
        (avro({"type": "string"}), "fields[1]: expected"),
        (avro("GENRES"), "fields[1]: expected"),
        (avro({"name": "MY GENRES", "type": "string"}), "fields[1]: expected"),
        (avro({"name": "X", "type": "array"}), "fields[1], X: expected a type of"),
        (avro({"name": "X"}), "fields[1], X: expected a type of"),
        (avro({"name": "X", "type": ["string", "long"]}), "fields[1], X: expected a type of"),
        (avro({"name": "X", "type": ["null"]}), "fields[1], X: expected a type of"),
        (avro({"name": "X", "type": {"type": "string"}}), "fields[1], X: expected a type of"),
        (avro({"name": "CREATION_TIMESTAMP", "type": "string"}), "expected the type long"),
        (avro({"name": "X", "type": "long", "categorical": True}), "expected the type string"),
        (avro({"name": "GENRES_1", "type": "long"}, {"name": "GENRES1", "type": "long"}), "is there twice"),
        (
            avro({"name": "A", "type": "string", "textual": True}, {"name": "B", "type": "string", "textual": True}),
            "at most one textual",
        ),
        (json.dumps({"type": "record", "name": "Items", "fields": []}), "expected a field ITEM_ID"),
        (
            json.dumps(
                {"type": "record", "name": "Items", "fields": [{"name": "ITEM_ID", "type": ["null", "string"]}]}
            ),
            "expected a type without null",
        ),
    ],
)
def test_wrong_schema_is_a_problem_that_says_what_was_expected(text: str, expected: str) -> None:
    schema, problems = read(text)

    assert schema is None
    assert any(expected in problem for problem in problems), problems
    assert all(problem.startswith("items.schema.json") for problem in problems)


def of(dataset: str, *fields: Any) -> list[str]:
    """The problems of a schema with the required fields and some more."""
    kind = DATASETS[dataset]
    required = [{"name": name, "type": kind.reserved[name].types[0]} for name in kind.required]
    return read(json.dumps({"type": "record", "name": kind.name, "fields": [*required, *fields]}), dataset)[1]


def many(count: int) -> list[Any]:
    return [{"name": f"M{n}", "type": "long"} for n in range(count)]


@pytest.mark.parametrize(("dataset", "most"), [("interactions", 5), ("users", 25), ("items", 100), ("actions", 10)])
def test_number_of_metadata_fields_is_that_of_the_guide(dataset: str, most: int) -> None:
    assert of(dataset, *many(most)) == []
    (problem,) = of(dataset, *many(most + 1))
    assert f"at most {most} metadata fields in {DATASETS[dataset].name}, found {most + 1}" in problem


def test_reserved_fields_are_no_metadata() -> None:
    keywords = [{"name": name, "type": "string"} for name in ("EVENT_TYPE", "IMPRESSION", "RECOMMENDATION_ID")]
    assert of("interactions", *many(5), *keywords) == []
    for dataset in ("items", "actions"):
        (problem,) = of(dataset, {"name": "CREATION_TIMESTAMP", "type": "long"})
        assert "at least one metadata field" in problem


@pytest.mark.parametrize("name", ["EVENT_TYPE", "IMPRESSION", "RECOMMENDATION_ID", "EVENT_ATTRIBUTION_SOURCE"])
@pytest.mark.parametrize("flag", ["categorical", "textual"])
def test_reserved_text_has_no_attribute(name: str, flag: str) -> None:
    (problem,) = of("interactions", {"name": name, "type": ["null", "string"], flag: True})
    assert f"{name}: expected no categorical or textual attribute" in problem
    assert of("interactions", {"name": name, "type": ["null", "string"], flag: False}) == []


@pytest.mark.parametrize("type", ["double", "long", ["null", "double"]])
def test_event_value_is_float(type: Any) -> None:
    (problem,) = of("interactions", {"name": "EVENT_VALUE", "type": type})
    assert "expected the type float, alone or in a list with null" in problem
    for right in ("float", ["float", "null"], ["null", "float"]):
        assert of("interactions", {"name": "EVENT_VALUE", "type": right}) == []


@pytest.mark.parametrize(("said", "meant"), [("true", True), ("True", True), ("false", False), ("FALSE", False)])
def test_attribute_may_be_a_string(said: str, meant: bool) -> None:
    schema, problems = read(avro({"name": "GENRE", "type": "string", "categorical": said}))
    assert problems == []
    assert schema is not None
    assert schema.fields["GENRE"].categorical is meant


@pytest.mark.parametrize("said", ["yes", 1, [], "", {}])
def test_attribute_that_is_neither_true_nor_false_is_a_problem(said: Any) -> None:
    (problem,) = read(avro({"name": "GENRE", "type": "string", "textual": said}))[1]
    assert 'GENRE: expected "textual": true or false' in problem


def test_categorical_id_is_a_warning_since_the_guide_does_not_forbid_it() -> None:
    fields = [{"name": "ITEM_ID", "type": "string", "categorical": True}, {"name": "A", "type": "int"}]
    text = json.dumps({"type": "record", "name": "Items", "fields": fields})
    problems = Problems()
    schema = read_schema(Source("s.json", text), ITEMS, problems)
    assert schema is not None
    assert not schema.fields["ITEM_ID"].categorical
    assert problems.found == []
    assert "expected no categorical attribute of an id; it is ignored" in str(problems.warnings[0])


def test_required_field_in_another_spelling_is_named() -> None:
    fields = [{"name": "item_id", "type": "string"}, {"name": "a", "type": "int"}]
    (problem,) = read(json.dumps({"type": "record", "name": "Items", "fields": fields}))[1]
    assert "expected a field ITEM_ID, in this spelling, not item_id" in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(avro()), "it was encoded twice"),
        (avro().replace("}]", "},]"), "a trailing comma"),
        (avro()[:-1] + ", }", "a trailing comma"),
        (str(json.loads(avro())), "a Python literal"),
        (avro({"name": "A", "type": "string", "textual": True}).replace("true", "True"), "a Python literal"),
        ("{", "Expecting property name"),
    ],
)
def test_text_that_is_no_json_gets_the_hint_that_helps(text: str, expected: str) -> None:
    (problem,) = read(text)[1]
    assert expected in problem


def test_problem_of_a_schema_is_told_with_its_place() -> None:
    text = """{"type": "record", "name": "Items",
 "fields": [
  {"name": "ITEM_ID", "type": "string"},
  {"name": "X", "type": "blob"}, 7,
  {"type": "string"}, {"name": "x", "type": ["null", "string"]},
  {"name": "CREATION_TIMESTAMP"}
 ]}"""
    assert [problem.partition(": ")[0] for problem in read(text)[1]] == [
        "items.schema.json, line 4, column 17",
        "items.schema.json, line 4, column 34",
        "items.schema.json, line 5, column 3",
        "items.schema.json, line 5, column 24",
        "items.schema.json, line 6, column 3",
    ]
    assert read("[\n" * 3000)[1][0].startswith("items.schema.json")


def test_all_problems_of_a_schema_are_told_at_once() -> None:
    _, problems = read(avro({"name": "X"}, {"name": "Y", "type": "map"}, name="Users", type="enum"))
    assert len(problems) == 4
