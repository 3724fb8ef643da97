#!/usr/bin/env python3
"""Prints what PostgreSQL answers to the cases below, for engine/catalog/tests/postgres.rs.

    python3 postgres.py "host=... port=... user=..." > postgres.tsv      (PostgreSQL 15, encoding UTF8, collation C)

A line is: operation, arguments, answer, separated by tabs, escaped as COPY does it. The answer begins with `=` (the text) or `!` (SQLSTATE,
a space, message, and the detail after ` | `), or is `\\N` for NULL. Sets are joined by newlines. A line `text` names an argument of others.
"""
import itertools
import subprocess
import sys

# Operation: SQL with $1, $2, ... for quoted arguments.
OPERATIONS = {
    "json": "select $1::json::text",
    "jsonb": "select $1::jsonb::text",
    "pretty": "select jsonb_pretty($1)",
    "compare": "select jsonb_cmp($1, $2)::text",
    "contains": "select ($1::jsonb @> $2::jsonb)::text",
    "concat": "select ($1::jsonb || $2::jsonb)::text",
    "get": "select ($1::jsonb -> $2::text)::text",
    "get_text": "select $1::jsonb ->> $2::text",
    "at": "select ($1::jsonb -> $2::int)::text",
    "at_text": "select $1::jsonb ->> $2::int",
    "get_path": "select ($1::jsonb #> $2::text[])::text",
    "get_path_text": "select $1::jsonb #>> $2::text[]",
    "has_key": "select ($1::jsonb ? $2)::text",
    "has_any": "select ($1::jsonb ?| $2::text[])::text",
    "has_all": "select ($1::jsonb ?& $2::text[])::text",
    "without_key": "select ($1::jsonb - $2::text)::text",
    "without_keys": "select ($1::jsonb - $2::text[])::text",
    "without_index": "select ($1::jsonb - $2::int)::text",
    "without_path": "select ($1::jsonb #- $2::text[])::text",
    "set": "select jsonb_set($1, $2::text[], $3, $4)::text",
    "insert": "select jsonb_insert($1, $2::text[], $3, $4)::text",
    "strip_nulls": "select jsonb_strip_nulls($1)::text",
    "typeof": "select jsonb_typeof($1)",
    "array_length": "select jsonb_array_length($1)::text",
    "keys": "select string_agg(k, E'\\n') from jsonb_object_keys($1) k",
    "each": "select string_agg(key || '=' || value::text, E'\\n') from jsonb_each($1)",
    "each_text": "select string_agg(key || '=' || coalesce(value, 'NULL'), E'\\n') from jsonb_each_text($1)",
    "elements": "select string_agg(value::text, E'\\n') from jsonb_array_elements($1)",
    "elements_text": "select string_agg(coalesce(value, 'NULL'), E'\\n') from jsonb_array_elements_text($1)",
    "jsonpath": "select $1::jsonpath::text",
    "path_exists": "select jsonb_path_exists($1, $2::jsonpath, $3, $4)::text",
    "path_match": "select jsonb_path_match($1, $2::jsonpath, $3, $4)::text",
    "path_query": "select string_agg(q::text, E'\\n') from jsonb_path_query($1, $2::jsonpath, $3, $4) q",
    "path_first": "select jsonb_path_query_first($1, $2::jsonpath, $3, $4)::text",
    "path_array": "select jsonb_path_query_array($1, $2::jsonpath, $3, $4)::text",
    "interval": "select $1::interval::text",
    "interval_add": "select ($1::interval + $2::interval)::text",
    "interval_subtract": "select ($1::interval - $2::interval)::text",
    "interval_negate": "select (-$1::interval)::text",
    "interval_multiply": "select ($1::interval * $2::float8)::text",
    "interval_divide": "select ($1::interval / $2::float8)::text",
    "interval_compare": "select interval_cmp($1, $2)::text",
    "justify_hours": "select justify_hours($1::interval)::text",
    "justify_days": "select justify_days($1::interval)::text",
    "justify_interval": "select justify_interval($1::interval)::text",
    "extract": "select extract_interval($2, $1)::text",
    "timestamp_plus": "select ($1::timestamp + $2::interval)::text",
    "timestamp_minus": "select ($1::timestamp - $2::interval)::text",
    "date_plus": "select ($1::date + $2::interval)::text",
    "between": "select ($1::timestamp - $2::timestamp)::text",
    "age": "select age($1::timestamp, $2::timestamp)::text",
    "int_array": "select $1::int[]::text",
    "text_array": "select $1::text[]::text",
}

CASES = []


def case(operation, *arguments):
    CASES.append((operation, arguments))


def json_cases():
    texts = r"""
null|true|false|0|-0|-0.0|1|1.0|1.10|-1.50|1e3|1E+3|1.5e-3|0e5|0.000e2|123456789012345678901234567890.123456789|1e131072|1e-16384
""|"a"|"ü€😀"|"\u00fc\u20AC\ud83d\ude00"|"\"\\\/\b\f\n\r\t"|"\u0001\u001f\u007f"|"\u0000"|"a\u0000b"|"\ud83d"|"\ude00"|"\ud83d\ud83d"|"\ud83dx"|"\ud83d\u0041"|"\u12"|"\u12g4"|"\u"|"\x"|"\ü"|"\
[]|{}|[ ]|{ }|[1,2]|[1, [2, []], {}]|{"a":1,"b":[1,2]}|{"b":1,"a":2,"aa":3,"":4}|{"a":1,"a":2}|{"a":1,"b":2,"a":{"c":3}}
 [1] |[1]x|[1] 2|1 2|[1,]|[,1]|[1 2]|[1|[|{|{"a"|{"a"}|{"a":}|{"a":1|{"a":1,|{"a":1,}|{"a" 1}|{a:1}|{1:2}|{"a":1 "b":2}|{,}|]|}|,|:
tru|truE|nul|nulls|falsey|True|_a|$|ü|01|-|-a|1.|.5|+1|1.e5|1e|1e+|1ea|1.5.5|0x1|1a|--1|1_000|'a'|"abc|"a\|NaN|Infinity
""".strip("\n")
    inputs = [text for line in texts.split("\n") for text in line.split("|")]
    inputs += ["", " ", "\t", "\n[1]\r\n", '"a\nb"', '"a\tb"', '"\x1f"', "\x0b1", "[" * 50 + "]" * 50, '["|"]']
    for text in inputs:
        case("json", text)
        case("jsonb", text)
    for text in ["[]", "{}", "1", '"a\\n"', '[1, [], {}, [2, {"a": null}]]', '{"a": 1, "b": {"c": [1, 2]}}']:
        case("pretty", text)
    documents = [
        "null", "true", "false", "1", "1.0", "2", '"a"', '"b"', '"aa"', '""', "[]", "[[]]", "[1]", "[1, 1]", '["a"]', '["a", "b", 1, null]', "[null]",
        "[[1, 2], [3]]", '[{"a": 1}, {"a": 1, "b": 2}]', "{}", '{"a": 1}', '{"a": 1.00, "b": null}', '{"a": [1, {"b": 2}]}', '{"b": 1, "aa": 2}',
        '{"a": {}}', '{"a": {"a": null, "b": [null]}}',
    ]
    for one, other in itertools.product(documents, documents):
        case("compare", one, other)
        case("contains", one, other)
    for one, other in itertools.product(documents[3:5] + documents[10:24:3], documents[3:5] + documents[9:24:3]):
        case("concat", one, other)
    for one, other in [('{"foo": {"bar": "baz", "n": [1, [2, 3]]}}', '{"foo": {"n": [[3]]}}'), ("[1, [2]]", "[2]"), ('["foo", "bar"]', '"bar"'),
                       ('"foo"', '["foo"]'), ('{"a": [1, 2, 3]}', '{"a": 1}'), ('{"a": [1, 2, 3]}', '{"a": [3, 1, 1.0]}')]:
        case("contains", one, other)
    paths = ["{}", "{a}", "{a,a}", "{a,0}", "{a,1,b}", "{0}", "{-1}", "{1,a}", "{x}", "{NULL}", "{a,NULL}", "{+0}", '{" 0"}', '{"0 "}', "{99999999999}",
             "{-9}", "{9}", "{0,0}", '{""}']
    for document in documents:
        case("typeof", document)
        for operation in ["array_length", "keys", "each", "each_text", "elements", "elements_text", "strip_nulls"]:
            case(operation, document)
        for key in ["a", "b", "1", ""]:
            case("get", document, key)
            case("get_text", document, key)
            case("has_key", document, key)
            case("without_key", document, key)
        for index in [0, 1, 3, -1, -2, -5, 2147483647, -2147483648]:
            case("at", document, str(index))
            case("without_index", document, str(index))
        case("at_text", document, "0")
        for keys in ["{}", "{a}", "{a,b}", "{NULL,b}", "{x,aa}"]:
            case("has_any", document, keys)
            case("has_all", document, keys)
            case("without_keys", document, keys)
        for path in paths:
            case("get_path", document, path)
    for document, path in itertools.product(documents[3::4] + documents[-2:], paths):
        case("get_path_text", document, path)
        case("without_path", document, path)
        for flag in ["true", "false"]:
            case("set", document, path, '{"n": [1.50]}', flag)
            case("insert", document, path, '"new"', flag)


def path_cases():
    texts = r"""
$|$.a|strict $.a|lax $.a.b|LAX $|Strict $|$.*|$[*]|$.a[0]|$[1,2 to 3]|$[last]|$[last - 1]|$[0 to last]|$.**|$.**{2}|$.**{2 to 3}|$.**{last}|$.**{1 to last}
$.**{last to 3}|$."a b"|$.a?(@.b == 1)|$.a ? (@ > 1 && @ < 5)|$ ? (@.a == 1 || @.b == 2 && @.c == 3)|$ ? ((@.a == 1 || @.b == 2) && @.c == 3)|$ ? (!(@.a == 1))
$ ? (exists(@.a))|$ ? ((@.a > 1) is unknown)|$ ? (@.a starts with "x")|$ ? (@.a starts with $v)|$v|$"v w"|$.a + 1|$.a * 2 + 1|($.a + 2) * 3|1 - (2 - 3)|-$.a|+$.a
-1|- 1|-(1)|--1|+1|-$.a.b|(-1).abs()|(1).type()|1.5|1e3|.5|5.|1.e2|1.10|0.0|1 / 2|$.a % 2|$.a.type()|$.a.size()|$.a.double()|$.a.ceiling().floor().abs()|$.keyvalue()|$.a.keyvalue().key
"x"|"\u0041\x42\u{43}\n"|"a\"b"|null|true|false|$.null|$.true.type|$.last|$.to|$.type|$.size|$.strict|$.a\u0062|$.ü|$.a1|$.a_b|$/* c */.a|$.a == 1|$.a != 1|$.a <> 1|$.a >= 1
($.a == 1)|($.a == 1).type()|($.a + 1).abs()|($.a).b|(($))|$.a ? (@ like_regex "^a")|$.a ? (@ like_regex "a" flag "i")|$.a ? (@ like_regex "a" flag "qis")|$.a like_regex "b"
($ + 1).abs() + 2|$[$.a]|$[1 + 1]|$ ? (@.a[0 to last].b == $.c[last])|$ ? (@ == 1) ? (@ == 2).a|!(($.a == 1) && ($.b == 2))|!exists($.a)|exists($.a)|exists($.a) && exists($.b)
($.a == 1) is unknown|$.a.b ? (@.c ? (@ > 1) == 2)|- - $.a|1 + -2|-1 + 2|(1 + 2) + 3|1 + (2 + 3)|1 * 2 / 3 % 4|($.a && $.b)|($.a == 1 && $.b == 2) || $.c == 3|1 + 1 == 2

|strict|$.|$a.|$[|$[]|$[1|$.a.|.a|a|@|@.a|last|$.a[last].b|$ ? (last == 1)|$ ? ()|$ ? (1)|$ ? (@.a)|$.a = 1|1 == 2 == 3|!$.a|!true|$.a && $.b|true && false|(true)|1a|01|1.a|1e|1e+|"abc|$.foo()|$.type(1)
$.a b|$ $|$ ? (@ starts with 1)|$ ? (@ like_regex 1)|$ ? (@ like_regex "a" flag "z")|$ ? (@ like_regex "(")|$ ? (@ like_regex "a" flag "x")|$.**{-1}|$.**{a}|/* |$.a /* |"\ud83d"|"\u0000"|"\u12"|"\x1"|#|$..a|$.*.**|$.a[*]|$[* ]|$ [ * ]
$.a.*|$.$a|$."$a"|$.1|$.a ? (@)|(1|1)|1 is unknown|$x$y|${a}|exists(1)|exists(1 == 1)|$.a.exists|$.a.lax|$[1 to]|$[to 1]|$[1 to 2 to 3]|$.abs|$.ABS()|$.Type()|NULL|TRUE|True|$.a IS UNKNOWN|($.a == 1) IS UNKNOWN|EXISTS($)
""".strip("\n")
    for line in texts.split("\n"):
        # `||` is an operator; a single bar separates.
        for text in line.replace("||", "\0").split("|"):
            case("jsonpath", text.replace("\0", "||"))
    document = '{"a": 1, "b": [1, 2.5, "3", null, true, [4], {"c": 5}], "d": {"e": "text", "f": {"e": -1.5}}, "g": [], "h": [{"x": 1, "y": 2}, {"x": 3}, {"x": [5, 6]}], "n": null}'
    paths = r"""
$|$.a|$.x|strict $.x|strict $.a.b|$.a.b|$.b|$.b[*]|$.b[0]|$.b[7]|strict $.b[7]|$.b[last]|$.b[last - 1]|$.b[-1]|strict $.b[-1]|$.b[0 to 2]|$.b[1 to 100]|strict $.b[1 to 100]|$.b[3 to 1]|strict $.b[3 to 1]|$.b[0, 2 to 3, last]|$.b[1.9]|$.b["a"]|$.b[*][*]
strict $.b[*][*]|$.a[0]|$.a[*]|strict $.a[*]|strict $.a[0]|$.a[last]|$.a[1]|$.g[*]|$.g[0]|$.g[last]|strict $.g[last]|$.*|strict $.a.*|$.a.*|$.b.*|strict $.b.*|$.**|$.**{1}|$.**{0}|$.**{2}|$.**{last}|$.**{1 to 2}|$.**.e|$.**{2 to last}.e|strict $.**.e|$.**.c
$.h.x|strict $.h.x|$.h[*].x|$.h[*].y|strict $.h[*].y|$.h[*].x[*]|$.h ? (@.x == 1)|strict $.h ? (@.x == 1)|$.h[*] ? (@.x > 1)|$.h[*] ? (@.y > 1)|strict $.h[*] ? (@.y > 1)|$.h[*] ? (@.x == 6).x|$.h[*] ? (exists(@.y))|strict $.h[*] ? (exists(@.y))|$.h[*] ? (!exists(@.y))
$.h[*] ? (!(@.y == 2))|strict $.h[*] ? (!(@.y == 2))|$.h[*] ? ((@.y == 2) is unknown)|strict $.h[*] ? ((@.y == 2) is unknown)|$.a == 1|$.a == 2|$.a == "1"|$.n == null|$.a == null|$.a != null|$.n < 1|$.n != 1|$.d == $.d|$.b[*] > 1|$.b[*] == true|$.b == 1|strict $.b == 1|strict $.b[*] == 1
$.d.e == "text"|$.d.e > "a"|$.d.e starts with "te"|$.d.e starts with "x"|$.a starts with "x"|$.d.e like_regex "^t.*t$"|$.d.e like_regex "^T" flag "i"|$.d.e like_regex "^T"|$.d.e like_regex "t.x" flag "q"|$.a like_regex "1"|$.a + 1|$.a - 2.50|$.a * 2.50|$.a / 3|2 / 3.00|10 / 4|1 / 7000000|100000 / 3|1.0 / 0.00003|$.a / 0
$.a % 0|7 % 3|-7 % 3|7.5 % 2|$.b + 1|$.d + 1|$.x + 1|1 + $.d.e|$.h[*].x + 1|-$.b[0 to 1]|-$.b[*]|-$.d|+$.a|-$.d.f.e|$.b.type()|$.b[*].type()|$.type()|$.b.size()|$.a.size()|strict $.a.size()|$.b[*].size()|$.g.size()|$.d.f.e.abs()|$.d.f.e.ceiling()|$.d.f.e.floor()|$.b.abs()|$.b[0 to 1].ceiling()|$.d.e.abs()
$.b[2].double()|$.b[0 to 2].double()|$.b.double()|$.d.e.double()|$.a.double()|"1.5e3".double()|"1e400".double()|"nan".double()|"inf".double()|" 7 ".double()|"0.1234567890123456789".double()|"1e20".double()|"".double()|true.double()|(1e400).double()|(-1.5).abs()|(1.50).abs()|(1.50).ceiling()|(-1.50).floor()|(2.0).floor()|(-0.5).ceiling()
$.keyvalue()|$.d.keyvalue().key|$.d.keyvalue().value.e|$.h.keyvalue().key|strict $.h.keyvalue()|$.a.keyvalue()|$.keyvalue() ? (@.key == "a").value|$v|$v + $.a|$w|$.b ? (@ == $v)|$.b[*] ? (@ == $v)|$list|$list[*]|$.b[*] ? (@ == $list[*])|$.d.e starts with $s|$.x starts with $s|$.b[$v]|$ ? (@.a == 1 && @.x == 1)|$ ? (@.a == 1 || @.x == 1)
$ ? (@.a == "x" || @.a == 1)|$ ? (@.a == "x" && @.a == 2)|$ ? (@.a == "x" && @.a == 1)|($.a == 1).type()|($.a == "x").type()|($.a == 1) == true|exists($.a)|exists($.x)|strict exists($.x)|exists($.a + "x")|!($.a == "x")|($.a == "x") is unknown|true|null|1|"x"|$.a ? (@ > 0) ? (@ < 2)|$.b[*] ? (@.type() == "number")|$.b[*] ? (@.type() == "number" && @ > 1)
$.** ? (@ == 5)|$.** ? (@.type() == "string")|$.**{3}|$.**{last} ? (@ > 3)|strict $.**{2}.x|$.d.* ? (@.e < 0)|$[0].a|strict $[0].a|$[*].a|$.h[0 to 1].x|$.h[last].x[last]|$.h[$.a].x|$.h[*].x ? (@ > 2)|$.h.x ? (@ > 2)|strict $.h[2].x ? (@ > 5)|$.h[*] ? (@.x[*] > 5)|$.h.size()|$.h[*].keyvalue().key|1 + 2 * 3 - 4 / 2|(1 + 2) * 3|1.10 + 2.2|1.10 * 2.20
$.a ? (1 == 1)|$.a ? (@ == @)|$ ? (@.b[*] == 2.50)|$.b[*] ? (@ == 2.50)|$.b[2147483648]|$.b[99999999999]|$.h ? (@.size() == 3)|strict $.h ? (@.size() == 3)|-"x".type()|$.b[0] > 0 && $.a > 0|$.b[0] > 0 || $.a > 0|$.n.type()|$.n.size()|$.n.abs()|0 - 0.00|-0|-(0)|1e-5 * 1e-5|1e100 + 1|$.d.e <= "text"|$.b[4] < false|$.b[4] > false
""".strip("\n")
    variables = '{"v": 1, "list": [1, 2.5], "s": "te"}'
    listed = [path.replace("\0", "||") for line in paths.split("\n") for path in line.replace("||", "\0").split("|")]
    for path in listed:
        if "keyvalue()" not in path or ".key" in path or ".value" in path or path in ("$.keyvalue()", "$.a.keyvalue()"):
            if path != "$.keyvalue()":
                case("path_query", document, path, variables, "false")
        case("path_array", "[]", path, variables, "true")
        case("path_exists", document, path, variables, "false")
        case("path_exists", document, path, variables, "true")
        case("path_match", document, path, variables, "false")
        case("path_match", document, path, variables, "true")
    for path in listed[::7]:
        case("path_first", document, path, variables, "true")
        case("path_query", '[1, [2, {"a": 3}]]', path, variables, "true")
    case("path_query", "{}", "$v", "[1]", "false")
    case("path_query", '{"a": {"b": 1}}', "$.keyvalue()", "{}", "false")


def interval_cases():
    texts = r"""
1 day|2 days|-1 day|1 year 2 mons -3 days 04:05:06.7|1 year 2 mons -3 days 04:05:06.7 ago|@ 1 minute|@ 1 day, 2 hours ago|1|1.5|-1.5|0|1:2|1:2:3|-1:2:3|+1:2:3|01:02:03.456789|01:02:03.4567894|01:02:03.4567896|1:2.5|100:59:59
1-2|-1-2|+1-2|1-12|1-2 3|1-2 3 4:05:06|-1-2 -3 -4:05:06|1-2 -3 +4:05:06|3 4:05:06|-3 4:05|3 days 4:05:06|1 d|1d|1d2h3m4s|1h|2hr|2hrs|1 m|1 min|1 mon|1 mons|1 y|1 yr|2 yrs|1 w|1 week|2.5 weeks|1.5 months|1.5 years|0.1 years|1.25 days|1.3 years 1.7 months
1 decade|1 dec|2 decs|1 c|1 cent|1 century|2 centuries|1 mil|1 mils|1 millennium|2 millennia|1 us|1 usec|1 usecs|1 microsecond|5 microseconds|1 ms|1 msec|1 msecs|1 millisecond|5 milliseconds|1.5 ms|0.5 us|1.6 us|1 qtr|1 quarter|1 sec|1 secs|1 second|1.0000005 seconds|1.0000015 seconds
P1Y2M3DT4H5M6S|P1Y|P1M|P1W|P1D|PT1H|PT1M|PT1S|PT0.1S|P1Y-2M|P-1Y|PT-1H|P1.5Y|P1.5M|P1.5D|P0.5W|P|PT|P1|P1-2|P1-2-3|P0001-02-03T04:05:06|P00010203T040506|P1-2T|PT4:5|PT4:5:6.5|P1H|PT1D|P1YT|p1y|P1S|P1Y 2M|PT040506.5|P00010203.5|P00010203.5T040506.4|P1-2-3-4|P12345678|P-1-2
1 day 1 day|1 day 1:00 2 hours|1 hour 2:00|1 s 1 ms|1.5 s 1 ms|1 ms 1 us|1 fortnight|day|ago|1 day ago ago|one day|1 day foo|1 day 2|2 1 day|1 2|1..5|1.5.5|1-|1--2|-|--1|+|1:60|1:2:61|1:2:60|1:-2|1 day -|now|today|infinity|-infinity|epoch|1 @ day|1/2|1 day/2 hours|1,5 days|1 day-2 hours|jan
2147483647 days|2147483648 days|-2147483648 days|178956970 years|178956971 years|178956970 years 7 mons|178956970 years 8 mons|2147483648 months|9223372036854775807 us|9223372036854775808 us|9223372036854.775807 s|9223372036854.775808 s|2562047788 hours|2562047789 hours|99999999999999999999 days|1000000000 weeks|1e3 days|0x1 day
1 year ago|-1 year ago|1 day 04:05 ago|  1   day  |1 day\t2 hours|DAY|1 DAY|1 Day 2 HOURS AGO|1 mon -1 day|-1 mon 1 day|-1 day 1 sec|1 year -1 mon|1 day -00:00:01|-1 year -2 mons +3 days -04:05:06|0.5 day|-0.5 day|0.99999999 days|.5 days|-.5 days|1. day|5 minutes 30 seconds|1 month 15 days 12:00|23 hours 59.999999 seconds
""".strip("\n")
    for text in [text for line in texts.split("\n") for text in line.split("|")] + ["", " "]:
        case("interval", text)
    intervals = ["0", "1 day", "-1 day", "1 mon", "30 days", "24 hours", "1 year 2 mons -3 days 04:05:06.7", "-1 mon 29 days 23:59:59.999999", "100 days 100 hours", "-100 days 100 hours",
                 "1 mon -1 hour", "-1 mon 1 hour", "5 years 35 days -30 hours", "1 mon -1 day 25:00", "2147483647 mons", "-2147483648 mons", "2147483647 days 24:00", "-2147483648 days",
                 "9223372036854775807 us", "-9223372036854775807 us", "2147483647 mons 30 days"]
    for interval in intervals:
        for operation in ["interval_negate", "justify_hours", "justify_days", "justify_interval"]:
            case(operation, interval)
        for factor in ["0", "1", "-1", "0.5", "1.5", "-2.25", "0.3333333333333333", "3", "7", "1e10", "1e-7", "NaN", "Infinity"]:
            case("interval_multiply", interval, factor)
            if "mons" not in interval or factor not in ("1e-7", "0.3333333333333333", "0.5"):
                case("interval_divide", interval, factor)
        for unit in ["epoch", "microseconds", "milliseconds", "second", "minute", "hour", "day", "month", "quarter", "year", "decade", "century", "millennium", "days", "h", "Hour"]:
            case("extract", interval, unit)
        for timestamp in ["2024-01-31 10:20:30.5", "2024-02-29 00:00:00", "2023-12-31 23:59:59.999999", "0001-01-01 00:00:00"]:
            case("timestamp_plus", timestamp, interval)
            case("timestamp_minus", timestamp, interval)
        case("date_plus", "2024-01-31", interval)
    for unit in ["week", "dow", "foo", "timezone", "doy", "isodow", "isoyear", "julian", "timezone_hour", "timezone_minute", "epochs"]:
        case("extract", "1 day", unit)
    for one, other in itertools.product(intervals, intervals[::2]):
        case("interval_compare", one, other)
        case("interval_add", one, other)
        case("interval_subtract", one, other)
    moments = ["2024-01-31 10:20:30.5", "2024-02-29 00:00:00", "2023-12-31 23:59:59.999999", "2024-03-01 00:00:00", "2001-04-10 00:00:00", "1957-06-13 00:00:00", "0001-01-01 00:00:00",
               "2023-03-31 12:00:00", "2023-02-28 13:00:00"]
    for one, other in itertools.product(moments, moments):
        case("between", one, other)
        case("age", one, other)


def array_cases():
    texts = r"""
{}|{ }| {1,2,3} |{1, NULL ,null}|{{1,2},{3,4}}|{{{1},{2}},{{3},{4}}}|{{1,2},{3}}|{{1},2}|{1,{2}}|{{},{}}|{{}}|{{1},{}}|{{},{1}}|[0:1]={5,6}|[1:2]={5,6}|[-2:-1]={5,6}|[2]={5,6}|[0:1][1:2]={{1,2},{3,4}}|[0:1]={5}|[0:2]={5,6}|[1:0]={}|[0:0]={}
[a:b]={1}|[1:2={1,2}|[1:2]{1,2}|[1:2]=1|[1:]={1}|[:2]={1}|[]={1}|[0:1] = {5,6}| [0:1]={5,6}|[ 0 : 1 ]={5,6}|{1,2|{1,2}}|{1,2}x|{1,,2}|{,}|{1,}|{,1}|1,2||}|{|{{|{{1}|{{{{{{1}}}}}}|{{{{{{{1}}}}}}}|{1}{2}|{{1}{2}}|{{1},}
{a,b}|{"a","b"}|{"a,b","c d"}|{a b, c }|{"",a}|{"NULL",NULL,nUlL}|{\NULL}|{"a\"b","a\\b"}|{a\"b}|{a\,b}|{a\ }|{a\  }|{\ a}|{"a"b}|{a"b"}|{"a" }|{ "a"}|{"a" "b"}|{"a|{"a"|{a\}|{"{","}"}|{a{b}|{a}b}|{ü,"€ x"}|{"a|b"}
""".strip("\n")
    inputs = [text for line in texts.split("\n") for text in line.split("|")]
    for text in inputs + ["{a\tb}", "{a\vb}", "{\v}", "{\n1\n,\n2\n}", "{2147483648}", "{x}"]:
        case("text_array", text)
        case("int_array", text)


def literal(text):
    return "E'" + text.replace("\\", "\\\\").replace("'", "''").replace("\0", "") + "'"


def escape(text):
    for plain, escaped in [("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\v", "\\v")]:
        text = text.replace(plain, escaped)
    return text


def main():
    json_cases()
    path_cases()
    interval_cases()
    array_cases()
    script = [
        """set client_min_messages = error; set timezone = 'UTC'; set datestyle = 'ISO';
create function pg_temp.extract_interval(unit text, i interval) returns numeric language plpgsql as $f$
begin return pg_catalog.extract(unit, i); end $f$;
create function pg_temp.answer(statement text) returns text language plpgsql as $f$
declare result text; state text; message text; detail text;
begin
  execute statement into result;
  return '=' || result;
exception when others then
  get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
  return '!' || state || ' ' || message || case when detail = '' then '' else ' | ' || detail end;
end $f$;
create temp table answers(number int, answer text);"""
    ]
    for number, (operation, arguments) in enumerate(CASES):
        statement = OPERATIONS[operation].replace("extract_interval", "pg_temp.extract_interval")
        for index in range(len(arguments), 0, -1):
            statement = statement.replace(f"${index}", literal(arguments[index - 1]))
        script.append(f"insert into answers values ({number}, pg_temp.answer({literal(statement)}));")
    script.append("copy (select answer from answers order by number) to stdout;")
    psql = ["psql", sys.argv[1], "-qAtX", "-v", "ON_ERROR_STOP=1", "-1", "-f", "-"]
    output = subprocess.run(psql, input="\n".join(script).encode(), stdout=subprocess.PIPE, check=True).stdout.decode()
    answers = output.rstrip("\n").split("\n")
    assert len(answers) == len(CASES), (len(answers), len(CASES))
    print("# Made by `python3 postgres.py CONNECTION > postgres.tsv` on PostgreSQL 15, encoding UTF8, collation C; see there.")
    names = {}
    for (operation, arguments), answer in zip(CASES, answers):
        for argument in arguments:
            if len(argument) > 100 and operation.startswith("path") and argument not in names:
                names[argument] = f"@{len(names) + 1}"
                print("\t".join(["text", names[argument], escape(argument)]))
        arguments = [names.get(argument, argument) for argument in arguments]
        print("\t".join([operation, *map(escape, arguments), answer]))


main()
