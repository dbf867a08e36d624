"""Form bodies and queries are read as everybody else reads them (RFC 6749 appendix B, RFC 3986 section 2.1)."""

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauth_server.core.errors import InvalidRequestError
from oauth_server.flow.http import MAX_FIELDS, json_reply, parse_pairs, to_params

RAW = st.lists(
    st.sampled_from([b"&", b"=", b"%", b"+", b"%2B", b"%C3%A9", b"%c3", b"%00", b"\xc3\xa9", b"\xa9", b"a"]),
    max_size=30,
).map(b"".join)


@given(raw=st.one_of(RAW, st.binary(max_size=40)))
@example(b"a=%C3\xc3\xa9")
@example(b"%61=1&&b&=c&d==")
def test_a_form_is_read_as_the_standard_library_reads_it(raw: bytes) -> None:
    try:
        expected = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        expected = None
    if expected is None or any("\x00" in text for pair in expected for text in pair):
        with pytest.raises(InvalidRequestError):
            parse_pairs(raw)
    else:
        assert parse_pairs(raw) == expected


@given(pairs=st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=9))
def test_what_was_encoded_is_read_again(pairs: list[tuple[str, str]]) -> None:
    sent = [(name, value) for name, value in pairs if "\x00" not in name + value]
    assert parse_pairs(urlencode(sent).encode()) == sent


def test_each_refusal_says_what_is_wrong() -> None:
    for raw, said in (
        (b"a=%ff", "UTF-8"),
        (b"a=\xff", "UTF-8"),
        (b"&" * MAX_FIELDS, f"more than {MAX_FIELDS}"),
        (b"a=b%00", "NUL"),
        (b"a\x00=b", "NUL"),
    ):
        with pytest.raises(InvalidRequestError, match=said):
            parse_pairs(raw)
    assert parse_pairs(b"a=%2500&b=%25") == [("a", "%00"), ("b", "%")]
    assert len(parse_pairs(b"&".join([b"a=b"] * MAX_FIELDS))) == MAX_FIELDS


def test_parameters_without_a_value_are_omitted_and_repeated_ones_told() -> None:
    params = to_params(parse_pairs(b"a=1&b=&resource=x&resource=&resource=y&b=2&c&d=1&d=2&d="))
    assert (params.values, params.resources, params.repeated) == (
        {"a": "1", "b": "2", "d": "1"},
        ["x", "y"],
        ("d",),
    )


def test_an_answer_is_json_that_every_parser_takes() -> None:
    reply = json_reply({"a": "é\u2028", "b": float("inf"), "c": 10**30, "d": (1, None)})
    assert reply.body == '{"a":"é\u2028","b":null,"c":1000000000000000000000000000000,"d":[1,null]}'.encode()
    assert reply.headers["content-type"] == "application/json"
