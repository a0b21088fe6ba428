from __future__ import annotations

import copy
import itertools
import math
import pickle
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from personalize_rt.errors import FilterValuesError
from personalize_rt.filters import RawFilterValue, decode, encode, encode_values
from personalize_rt.limits import Limits


class Genre(Enum):
    COMEDY = "Comedy"
    YEAR = 1999
    BOTH = ("Comedy", "Drama")
    NOTHING = None
    FLAG = True


class Rating(IntEnum):
    GOOD = 8


class Device(StrEnum):
    PHONE = "phone"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Comedy", '"Comedy"'),
        (["Comedy", "Drama"], '"Comedy","Drama"'),
        (("Drama", "Comedy"), '"Drama","Comedy"'),
        ({"Drama", "Comedy"}, '"Comedy","Drama"'),
        (frozenset({10, 9.5, Decimal("9.75"), -1}), "-1,9.5,9.75,10"),
        (["Comedy"], '"Comedy"'),
        (7, "7"),
        (-7, "-7"),
        (19.5, "19.5"),
        (1999.0, "1999"),
        (1e22, "10000000000000000000000"),
        (1e-7, "0.0000001"),
        (-1.25e-7, "-0.000000125"),
        (-0.0, "0"),
        (Decimal("19.90"), "19.9"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.00"), "0"),
        (Decimal("0E+999999"), "0"),
        (Decimal("12345678901234567890123456789012345.5"), "12345678901234567890123456789012345.5"),
        ([1970, 1980], "1970,1980"),
        ([1970, 1980.5, Decimal(3)], "1970,1980.5,3"),
        (range(3), "0,1,2"),
        (datetime(2021, 10, 3, 6, 0, 24, tzinfo=UTC), "1633240824"),
        (datetime(2021, 10, 3, 8, 0, 24, tzinfo=timezone(timedelta(hours=2))), "1633240824"),
        ([datetime(1970, 1, 1, tzinfo=UTC), 5], "0,5"),
        (Genre.COMEDY, '"Comedy"'),
        (Genre.YEAR, "1999"),
        (Genre.BOTH, '"Comedy","Drama"'),
        ([Genre.COMEDY, Device.PHONE], '"Comedy","phone"'),
        (Rating.GOOD, "8"),
        (Device.PHONE, '"phone"'),
        ("a, b | c \\ 'd'\n購入", "\"a, b | c \\ 'd'\n購入\""),
        (RawFilterValue('"a", "b"'), '"a", "b"'),
        (RawFilterValue(""), ""),
    ],
)
def test_python_values_are_written_as_the_service_reads_them(value: Any, text: str) -> None:
    assert encode(value, parameter="P") == text


def test_a_tensor_without_dimensions_is_what_it_holds() -> None:
    class Tensor:
        ndim = 0
        dtype = "torch.int64"  # which has no kind

        def item(self) -> int:
            return 5

    assert encode(Tensor(), parameter="P") == "5"


@pytest.mark.parametrize("fraction", [0, 1, 999_999])
@pytest.mark.parametrize("moment", [datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_a_fraction_of_a_second_is_dropped_towards_the_past(moment: datetime, fraction: int) -> None:
    whole = moment.replace(microsecond=0)
    assert encode(moment.replace(microsecond=fraction), parameter="P") == str(int(whole.timestamp()))


def test_an_iterator_is_taken_once() -> None:
    assert encode((name for name in ("a", "b")), parameter="P") == '"a","b"'


def test_an_endless_iterator_is_refused() -> None:
    with pytest.raises(FilterValuesError, match="at most 1,000"):
        encode(itertools.count(), parameter="P")


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (None, "leave the parameter out"),
        (True, '"True" or "False"'),
        (False, '"True" or "False"'),
        (date(2021, 10, 3), "aware datetime"),
        (datetime(2021, 10, 3), "time zone"),
        (math.nan, "not finite"),
        (math.inf, "not finite"),
        (-math.inf, "not finite"),
        (Decimal("NaN"), "not finite"),
        (Decimal("sNaN"), "not finite"),
        (Decimal("-Infinity"), "not finite"),
        ("", "leave the parameter out"),
        ([], "leave the parameter out"),
        (set(), "leave the parameter out"),
        (iter(()), "leave the parameter out"),
        ([""], "element 0"),
        (["a", 1], "one kind"),
        ([1, "a"], "one kind"),
        (["a", None], "element 1"),
        (["a", True], "element 1"),
        ([["a"]], "flat list"),
        ([("a", "b")], "flat list"),
        ([Genre.BOTH], "flat list"),
        ([RawFilterValue('"a"')], "send a str"),
        ({"a": 1}, "its own value"),
        (b"a", "decode"),
        (bytearray(b"a"), "decode"),
        ([b"a"], "bytes"),
        ('sec"ret', "rename the value in the dataset"),
        ('"secret"', "write it without the quotes, which are added"),
        ('"secret","x"', "RawFilterValue"),
        (['"secret"'], "write it without the quotes"),
        (["a", 'sec"ret'], "element 1"),
        ("\ud800", "surrogate"),
        (["a", "\ud800"], "element 1"),
        (Genre.NOTHING, "leave the parameter out"),
        (Genre.FLAG, '"True" or "False"'),
        (timedelta(1), "send a str"),
        (time(1), "send a str"),
        (Fraction(1, 2), "send a str"),
        (1j, "send a str"),
        (object(), "send a str"),
        (int, "send a str"),
        pytest.param(10**5000, "smaller number", id="huge"),
        (Decimal("1E+999999999999"), "exponent"),
        (Decimal("1E-999999999999"), "exponent"),
        ("x" * 999, "1,001 characters"),
        (["x" * 9] * 90, "1,079 characters"),
        (RawFilterValue("x" * 1001), "1,001 characters"),
    ],
)
def test_everything_else_is_refused_with_advice(value: Any, advice: str) -> None:
    with pytest.raises(FilterValuesError) as caught:
        encode(value, parameter="GENRE")
    assert caught.value.parameter == "GENRE"
    assert "GENRE" in str(caught.value)
    assert advice in str(caught.value)
    assert caught.value.__context__ is None


def test_the_length_limit_counts_the_encoded_form_and_can_be_moved() -> None:
    assert len(encode("x" * 998, parameter="P")) == 1000
    with pytest.raises(FilterValuesError) as caught:
        encode("x" * 999, parameter="P")
    assert caught.value.limit == 1000
    assert len(encode("x" * 999, parameter="P", limits=Limits(filter_value_length=2000))) == 1001
    assert len(encode(["x"] * 9000, parameter="P", limits=Limits.off())) == 9000 * 4 - 1


@pytest.mark.parametrize("value", ["secret value", ["secret", 4], ["secret", ["value"]], 'secret"', "secret" * 999])
def test_no_value_is_shown(value: Any) -> None:
    with pytest.raises(FilterValuesError) as caught:
        encode(value, parameter="GENRE", limits=Limits(filter_value_length=3))
    assert "secret" not in repr(caught.value)


def test_a_raw_value_hides_its_text_and_shows_its_size() -> None:
    raw = RawFilterValue('"secret"')
    assert repr(raw) == "RawFilterValue(<8 characters>)"
    assert raw == RawFilterValue('"secret"') == copy.copy(raw) == pickle.loads(pickle.dumps(raw))
    assert len({raw, RawFilterValue('"secret"')}) == 1


def test_a_raw_value_is_text() -> None:
    with pytest.raises(FilterValuesError, match="not an int"):
        RawFilterValue(5)  # type: ignore[arg-type] # what is tested


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"Comedy"', "Comedy"),
        ('"Comedy","Drama"', ("Comedy", "Drama")),
        (' "Comedy" , "Drama" ', ("Comedy", "Drama")),
        ('"value1, value2"', "value1, value2"),
        ('"1633240824"', "1633240824"),
        ("1633240824", 1633240824),
        ("-5", -5),
        ("007", 7),
        ("7.0", 7),
        ("7.50", Decimal("7.5")),
        ("1, 2.5", (1, Decimal("2.5"))),
    ],
)
def test_decode_gives_the_canonical_form(text: str, value: Any) -> None:
    assert decode(text) == value
    assert type(decode(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "Comedy", '"Comedy', 'Comedy"', '""', '"a""b"', '"a" "b"', '"a",', ',"a"', '"a",,"b"', "'a'"),
        *('"a",1', "1,", "1 2", "--1", "+1", "1e5", ".5", "5.", "\u0661", "0x10", "nan", "9" * 5000, '\\"a\\"'),
    ],
)
def test_what_is_no_encoded_value_is_not_decoded(text: str) -> None:
    with pytest.raises(FilterValuesError) as caught:
        decode(text, parameter="GENRE")
    assert caught.value.parameter == "GENRE"
    assert "quotes" in str(caught.value)


@pytest.mark.parametrize("text", [None, b'"a"', 5])
def test_only_text_is_decoded(text: Any) -> None:
    with pytest.raises(FilterValuesError):
        decode(text)


STRINGS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters='"'), min_size=1, max_size=20)
NUMBERS = st.one_of(
    st.integers(-(10**40), 10**40),
    st.decimals(allow_nan=False, allow_infinity=False, places=5).map(lambda value: decode(format(value, "f"))),
)
CANONICAL = st.one_of(
    STRINGS,
    NUMBERS,
    st.lists(STRINGS, min_size=2, max_size=10).map(tuple),
    st.lists(NUMBERS, min_size=2, max_size=10).map(tuple),
)
ANYTHING = st.one_of(
    CANONICAL,
    st.floats(),
    st.decimals(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.sampled_from([*Genre, *Rating, *Device]),
    st.none() | st.booleans() | st.binary() | st.dates() | st.complex_numbers() | st.fractions(),
    st.recursive(st.text(max_size=5) | st.integers() | st.none() | st.floats(), st.lists, max_leaves=5),
    st.sets(STRINGS | st.integers()),
    st.dictionaries(st.text(), st.text()),
)


@given(CANONICAL)
def test_decode_undoes_encode(value: Any) -> None:
    decoded = decode(encode(value, parameter="P", limits=Limits.off()))
    assert decoded == value
    assert type(decoded) is type(value)


@given(ANYTHING)
@example(["a", math.nan])
@example(Decimal("1E-400"))
def test_any_value_is_written_once_and_for_all_or_refused(value: Any) -> None:
    try:
        text = encode(value, parameter="P")
    except FilterValuesError:
        return
    assert len(text) <= 1000
    assert encode(decode(text), parameter="P") == text
    if not text.startswith('"'):
        assert set(text) <= set("-0123456789.,")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_keeps_its_value(value: float) -> None:
    assert float(encode(value, parameter="P")) == value


@given(st.text(max_size=30) | st.from_regex(r'\A[0-9.,\s"a-]{0,12}\Z'))
def test_decode_reads_or_refuses_any_text(text: str) -> None:
    try:
        value = decode(text)
    except FilterValuesError:
        return
    assert decode(encode(value, parameter="P")) == value


def test_all_values_of_a_request_are_written() -> None:
    assert encode_values({"GENRE": ["Comedy", "Drama"], "YEAR": 1999}) == {
        "GENRE": '"Comedy","Drama"',
        "YEAR": "1999",
    }


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"$GENRE": "a"}, "write 'GENRE' instead of '\\$GENRE'"),
        ({"A B": "a"}, "letters"),
        ({"": "a"}, "letters"),
        ({"GENRE\n": "a"}, "letters"),
        ({"Ä": "a"}, "letters"),
        ({7: "a"}, "not an int"),
        ({"x" * 51: "a"}, "at most 50"),
        ({f"P{n}": "a" for n in range(26)}, "at most 25"),
        (["GENRE"], "mapping"),
        (None, "mapping"),
    ],
)
def test_names_and_their_number_are_checked(values: Any, advice: str) -> None:
    with pytest.raises(FilterValuesError, match=advice) as caught:
        encode_values(values)
    assert caught.value.parameter == "filter_values"


def test_names_and_their_number_can_be_left_to_the_service() -> None:
    values = {f"P {n}" + "x" * 60: n for n in range(30)}
    assert len(encode_values(values, limits=Limits.off())) == 30


def test_numpy_values_are_written_without_importing_numpy() -> None:
    np = pytest.importorskip("numpy")
    assert encode(np.float32(19.5), parameter="P") == "19.5"
    assert encode(np.float32(19.99), parameter="P") == "19.99"
    assert encode(np.float64(1e22), parameter="P") == "10000000000000000000000"
    assert encode(np.int64(-4), parameter="P") == "-4"
    assert encode(np.array(5), parameter="P") == "5"
    assert encode(np.str_("a"), parameter="P") == '"a"'
    assert encode(np.array(["a", "b"]), parameter="P") == '"a","b"'
    assert encode(np.array([0.1, 2], dtype=np.float32), parameter="P") == "0.1,2"


@pytest.mark.parametrize(
    "make",
    [
        lambda np: np.bool_(True),
        lambda np: np.array([True]),
        lambda np: np.float32("nan"),
        lambda np: np.datetime64("2021-10-03"),
        lambda np: np.timedelta64(3, "s"),
        lambda np: np.complex64(1),
        lambda np: np.bytes_(b"a"),
        lambda np: np.array([["a"]]),
        lambda np: np.array([]),
        lambda np: np.array(None),
    ],
)
def test_numpy_values_without_a_meaning_are_refused(make: Any) -> None:
    np = pytest.importorskip("numpy")
    with pytest.raises(FilterValuesError):
        encode(make(np), parameter="P")


def test_pandas_values_are_written() -> None:
    pd = pytest.importorskip("pandas")
    assert encode(pd.Timestamp("2021-10-03 06:00:24.9", tz="UTC"), parameter="P") == "1633240824"
    assert encode(pd.Series(["a", "b"], dtype="category"), parameter="P") == '"a","b"'
    assert encode(pd.Series([1, 2], dtype="Int64"), parameter="P") == "1,2"
    assert encode(pd.Series([19.99], dtype="float32"), parameter="P") == "19.99"
    assert encode(pd.Index(["a"]), parameter="P") == '"a"'


@pytest.mark.parametrize(
    "make",
    [
        lambda pd: pd.NA,
        lambda pd: pd.NaT,
        lambda pd: pd.Timestamp("2021-10-03"),
        lambda pd: pd.Series([1, None], dtype="Int64"),
        lambda pd: pd.Series(["a", None]),
        lambda pd: pd.Series([1.0, None]),
        lambda pd: pd.DataFrame({"a": [1]}),
        lambda pd: pd.Timedelta(1),
    ],
)
def test_pandas_values_without_a_meaning_are_refused(make: Any) -> None:
    pd = pytest.importorskip("pandas")
    with pytest.raises(FilterValuesError):
        encode(make(pd), parameter="P")
