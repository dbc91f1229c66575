"""Files of every kind, whole and broken, read row by row."""

import csv
import decimal
import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glider.core.errors import BadRecord, DataError, SetupError, UnknownName
from glider.data.rows import BadRow, Row, content_hash_of, open_rows, sampled
from glider.data.values import NOT_READ, Unreadable

pytestmark = pytest.mark.filterwarnings("error")

TWO = [{"output": "a"}, {"output": "b"}]


def read(path, **options):
    return list(open_rows(path, **options))


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def seen(rows):
    """Line and data of a row, line and 'bad' of a bad one."""
    return [(r.line, r.data if isinstance(r, Row) else "bad") for r in rows]


LINES = b'{"output": "a"}\n{"output": "b"}\n'


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("a.jsonl", LINES, [1, 2]),
        ("a.ndjson", LINES, [1, 2]),
        ("A.JSONL", LINES, [1, 2]),
        ("a.jsonl.gz", gzip.compress(LINES, mtime=0), [1, 2]),
        ("a.jsonl", LINES.rstrip(b"\n"), [1, 2]),
        ("a.jsonl", LINES.replace(b"\n", b"\r\n"), [1, 2]),
        ("a.jsonl", b"\n" + LINES.replace(b"\n", b"\n \n"), [2, 4]),  # blank lines
        ("a.jsonl", b"\xef\xbb\xbf" + LINES, [1, 2]),  # byte order mark
        ("a.json", b'[{"output": "a"},\n {"output": "b"}]', [1, 2]),
        ("a.json.gz", gzip.compress(b'[{"output":"a"},{"output":"b"}]', mtime=0), [1, 2]),
        ("a.csv", b"output\na\nb\n", [2, 3]),
        ("a.csv", b"\xef\xbb\xbfoutput\r\n\r\na\r\nb", [3, 4]),
        ("a.csv.gz", gzip.compress(b"output\na\nb\n", mtime=0), [2, 3]),
        ("a.tsv", b'output\n"a"\nb\n', [2, 3]),
    ],
)
def test_kinds(tmp_path, name, content, places):
    path = write(tmp_path, name, content)
    rows = read(path)
    assert seen(rows) == list(zip(places, TWO, strict=True))
    assert [row.index for row in rows] == [0, 1]
    assert rows[0].path == str(path)


def test_csv_quotes_and_long_cells(tmp_path):
    long = "x" * 200_000  # over the csv module's own limit of 131,072
    path = write(tmp_path, "a.csv", f'id,output\n1,"two\nlines, ""quoted"""\n2,{long}\n')
    assert seen(read(path)) == [
        (2, {"id": "1", "output": 'two\nlines, "quoted"'}),
        (4, {"id": "2", "output": long}),
    ]


def test_other_encodings(tmp_path):
    row = {"output": "größer"}
    text = json.dumps(row, ensure_ascii=False) + "\n"
    for encoding in ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252"):
        path = write(tmp_path, "a.jsonl", (text * 2).encode(encoding))
        assert seen(read(path, encoding=encoding)) == [(1, row), (2, row)]


GOOD = '{"output": "a"}'
BAD_LINES = [
    ("not json", ["2: not JSON at character 1", "expected one JSON object per line", "'not json'"]),
    ('{"output": "a"', ["2: not JSON at character 15", "Expecting ',' delimiter"]),
    ("[1, 2]", ["2: expected one JSON object", "found list '[1, 2]'"]),
    ('"text"', ["found str"]),
    ("null", ["found NoneType 'null'"]),
    ('{"output": "b"},', ["2: not JSON at character 16 (Extra data)", "without a comma"]),
    ('{"a":' * 100_000, ["nested too deeply"]),
    ("\x1b[31m" + "z" * 500, [r"'\x1b[31m"]),
]


@pytest.mark.parametrize(("line", "said"), BAD_LINES)
def test_a_bad_line_is_a_row_and_the_next_goes_on(tmp_path, line, said):
    path = write(tmp_path, "a.jsonl", f"{GOOD}\n{line}\n{GOOD}\n")
    first, bad, last = read(path)
    assert (first.index, last.index, last.line, last.data) == (0, 2, 3, {"output": "a"})
    assert isinstance(bad, BadRow)
    assert isinstance(bad.error, BadRecord)
    message = str(bad.error)
    assert message.startswith(f"{path}:2: ")
    assert [part for part in said if part not in message] == []
    assert len(message) < len(str(path)) + 250
    assert message.isprintable()


@pytest.mark.parametrize(
    "text",
    [r'{"output": "\ud83d\ude00"}', '{"output": "NaN"}', r'{"output": "\\ud800 Infinity"}'],
)
def test_what_only_looks_bad_is_good(tmp_path, text):
    assert seen(read(write(tmp_path, "a.jsonl", text))) == [(1, json.loads(text))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'{"output": "a"}\n{"output": "caf\xe9"}\n{"output": "b"}\n'),
        ("a.csv", b"output\na\ncaf\xe9\nb\n"),
    ],
)
def test_a_byte_of_another_encoding(tmp_path, name, content):
    path = write(tmp_path, name, content)
    first, bad, last = read(path)
    assert (first.data, last.data) == tuple(TWO)
    said = bad.data["output"].why
    assert "holds byte 0xe9 at character 4, which is not utf-8, near 'caf\\xe9'" in said
    assert "--encoding" in said
    assert read(path, encoding="latin-1")[1].data == {"output": "café"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1", "1 cells where the header has 2"),
        ("1,2,3", "3 cells where the header has 2"),
        ('1,"open', "not CSV: unexpected end of data"),
        ('1,"a"b', "not CSV: ',' expected after '\"'"),
    ],
)
def test_bad_csv_rows(tmp_path, row, said):
    path = write(tmp_path, "a.csv", f"id,output\n0,a\n{row}\n")
    good, bad = read(path)
    assert good.data == {"id": "0", "output": "a"}
    assert str(bad.error).startswith(f"{path}:3: {said}")


def test_the_samples_of_an_inspect_log_are_its_rows(tmp_path):
    log = {"version": 2, "eval": {"task": "t"}, "samples": [{"id": 1, "output": "a"}]}
    assert seen(read(write(tmp_path, "log.json", json.dumps(log)))) == [(1, log["samples"][0])]


LOST = "not read: it may be the rest of line"


@pytest.mark.parametrize(
    ("name", "text", "kept", "said"),
    [
        # A cell of two lines in Spark's dialect; what follows is sure once the file ends.
        (
            "a.csv",
            'id,x,output\n1,When?,"He said \\"nine\\" and\nthen left, at once, quickly"\n2,W,C\n',
            [(4, "C")],
            {2: "are quotes escaped by a backslash?", 3: f"{LOST} 2"},
        ),
        # Of three lines; the one in the middle has as many cells as the header.
        (
            "a.csv",
            'id,x,output\n1,When?,"He said \\"nine\\" and\na, b, c\nthe end"\n2,W,C\n3,W,"D"\n',
            [(5, "C"), (6, "D")],
            {2: "backslash", 3: f"{LOST} 2", 4: f"{LOST} 2"},
        ),
        # A quoted cell that is whole makes it sure.
        (
            "a.csv",
            'id,output\n1,"a"b\n2,"c"\n3,d"e\n',
            [(3, "c"), (4, 'd"e')],
            {2: "not CSV: ',' expected after"},
        ),
        # A quote that is never closed costs its own line, not half the file.
        (
            "a.csv",
            'id,output\n1,"open\n2,b\n3,c\n',
            [(3, "b"), (4, "c")],
            {2: "a quote that opens here is never closed"},
        ),
        (
            "a.tsv",
            'id\toutput\n1\t"open\n2\tb\nnot two\n3\tc\n',
            [(5, "c")],
            {2: "not TSV", 3: f"{LOST} 2", 4: f"{LOST} 2"},
        ),
        ("a.csv", "id,output\n1,a\\,b\n2,c\n", [(3, "c")], {2: "escaped by a backslash?"}),
    ],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_the_rest_of_a_broken_record_is_no_data(tmp_path, name, text, kept, said, gzipped):
    content = gzip.compress(text.encode(), mtime=0) if gzipped else text
    rows = read(write(tmp_path, name + ".gz" * gzipped, content))
    good = [(row.line, row.data["output"]) for row in rows if isinstance(row, Row)]
    bad = {row.line: str(row.error) for row in rows if isinstance(row, BadRow)}
    assert good == kept
    assert bad.keys() == said.keys()
    assert [line for line, words in said.items() if words not in bad[line]] == []


def test_a_long_file_after_a_broken_record_is_read_on(tmp_path):
    lines = ["id,output", '0,"a"b', *(f"{n},text" for n in range(1, 3000))]
    rows = read(write(tmp_path, "a.csv", "\n".join(lines)))
    assert [isinstance(row, Row) for row in rows] == [False] + [True] * 2999


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("a.csv", "id,output,,\n1,a,,\n2,b\n", [{"id": "1", "output": "a"}, {"id": "2", "output": "b"}]),
        ("a.tsv", "id\toutput\t \t\n1\ta\t\t\n", [{"id": "1", "output": "a"}]),
        ("a.csv", ",output,,x\n0,a,,y\n", [{"output": "a", "x": "y"}]),  # pandas' index
        ("a.csv", "output\na,,\n", [{"output": "a"}]),
        ("a.csv", "sep=,\noutput,x\na,b\n", [{"output": "a", "x": "b"}]),
        ("a.csv", "output,x\nNaN,nan\n", [{"output": None, "x": None}]),
        ("a.csv", "output,x,x\na,b,c\n", [{"output": "a", "x": Unreadable("stands twice in the header")}]),
        ("a.csv", "id,output,,\n1,a,b,\n", ["bad"]),  # what has no name is not lost in silence
    ],
)  # fmt: skip
def test_columns_without_a_name_and_values_that_are_missing(tmp_path, name, text, data):
    assert [found for _, found in seen(read(write(tmp_path, name, text)))] == data


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("NaN", None),
        ("[NaN, Infinity]", [None, float("inf")]),
        (r'"\ud800"', "Unreadable"),
        ("9" * 5000, "Unreadable"),
        (r'{"\uDC00": 1}', {r"\udc00": 1}),
    ],
)
def test_values_that_json_does_not_have_fail_no_row(tmp_path, name, value, data):
    text = f'{{"output": "a", "x": {value}}}'
    (row,) = read(write(tmp_path, name, text if name == "a.jsonl" else f"[{text}]"))
    found = row.data["x"]
    assert row.data["output"] == "a"
    assert (type(found).__name__ if isinstance(found, Unreadable) else found) == data


def test_bad_elements_of_a_json_list(tmp_path):
    rows = read(write(tmp_path, "a.json", r'[{"output": "a"}, 7, {"x": NaN}, {"x": "\ud800"}]'))
    assert seen(rows[:3]) == [(1, {"output": "a"}), (2, "bad"), (3, {"x": None})]
    assert rows[3].data["x"].why.startswith(r"holds '\ud800' at character 1, which is half")


def test_a_line_over_50_million_characters(tmp_path):
    long = b'{"output": "' + b"x" * 60_000_000 + b'"}\n'
    path = write(tmp_path, "a.jsonl.gz", gzip.compress(LINES[:16] + long + LINES[16:], 1))
    first, bad, last = read(path)
    assert (first.data, last.data, last.line) == (*TWO, 3)
    assert "a.jsonl.gz:2: the line is longer than 50 million characters" in str(bad.error)


def noise(n):
    return [{"output": hashlib.sha256(str(i).encode()).hexdigest()} for i in range(n)]


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize("damage", ["cut", "flipped", "checksum"])
def test_damaged_gzip(tmp_path, damage):
    content = bytearray(gzip.compress(jsonl(noise(5000))))
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    else:
        content[-8] ^= 0xFF
    *rows, bad = read(write(tmp_path, "a.jsonl.gz", bytes(content)))
    assert len(rows) > 1000
    # What a flipped bit still lets through is not JSON, so it is seen.
    good = [row for row in rows if isinstance(row, Row)]
    assert good[:1000] == rows[:1000]
    assert isinstance(bad, BadRow)
    assert bad.index == len(rows)
    assert bad.line == rows[-1].line + 1
    assert "cut off or damaged" in str(bad.error)


def test_a_stray_byte_in_utf16_ends_the_file(tmp_path):
    path = write(tmp_path, "a.jsonl", jsonl(noise(5000)).decode().encode("utf-16-le") + b"\x00")
    *rows, bad = read(path, encoding="utf-16-le")
    assert len(rows) > 4000
    assert [row.data for row in rows] == noise(len(rows))
    assert isinstance(bad, BadRow)
    assert "--encoding" in bad.error.hint


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"", "has no rows"),
        ("a.jsonl", b"\n \n", "has no rows"),
        ("a.jsonl", b"\xef\xbb\xbf", "has no rows"),
        ("a.jsonl.gz", b"", "has no rows"),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), "has no rows"),
        ("a.json", b"", "has no rows"),
        ("a.json", b"[]", "has no rows"),
        ("a.csv", b"", "has no rows"),
        ("a.csv", b"id,output\n", "has no rows"),
        ("a.csv", b",,\n1,2,3\n", "the header has no name"),
        ("a.csv", b"id;output\n1;a\n", "separated by semicolons? CSV has commas (save it with"),
        ("a.csv", b'"id";"output"\n"1";"a"\n', "are the cells separated by semicolons?"),
        (
            "a.csv",
            b"sep=;\nid;output\n",
            "its first line is sep=;: are the cells separated by semi",
        ),
        (
            "a.csv.gz",
            gzip.compress(b"id\toutput\n", mtime=0),
            "by tabs? CSV has commas (name it .tsv",
        ),
        ("a.tsv", b"id,output\n1,a\n", "separated by commas? TSV has tabs (name it .csv)"),
        ("a.csv", b"id|output\n1|a\n", "separated by bars?"),
        ("a.jsonl", b'{\n "output": "a"\n}\n', "its first value goes on after line 1"),
        ("a.jsonl", b'[\n{"output": "a"},\n{"output": "b"}\n]\n', "name a JSON list .json"),
        ("a.csv", b'id,"output\n', "the header is not CSV"),
        ("a.csv", b"caf\xe9,output\n1,2\n", "byte 0xe9"),
        ("a.json", b'{"output": "a"}', "expected a list of objects, found dict"),
        ("a.json", LINES, "for one object per line, name the file .jsonl"),
        ("a.json", b"[{},\n{]", "a.json:2: not JSON (Expecting"),
        ("a.json", b'[{"output": \xe9}]', "byte 0xe9"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.jsonl", LINES.decode().encode("utf-16"), "is UTF-16, not UTF-8 (--encoding utf-16)"),
        ("a.csv", "output\na\n".encode("utf-16"), "--encoding utf-16"),
        ("a.jsonl", LINES.decode().encode("utf-32"), "--encoding utf-32"),
        ("a.jsonl.gz", LINES, "is named .gz and is not gzip"),
        ("a.jsonl", gzip.compress(LINES, mtime=0), "is gzip (add .gz to its name)"),
        ("a.txt", b"x", "must end in .jsonl, .ndjson, .json, .csv, .tsv, .parquet"),
        ("a.parquet.gz", b"x", "is of no known kind"),
        ("a.eval", b"PK", "`inspect log convert --to json` makes a .json of it"),
        ("a.parquet", b"no parquet", "is not readable as Parquet"),
        ("a.parquet", b"", "is not readable as Parquet"),
        ("a.arrow", b"no arrow", "is no Arrow stream"),
    ],
)
def test_sources_that_cannot_be_read(tmp_path, name, content, said):
    path = write(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert type(caught.value) is DataError
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_json_over_its_limit(tmp_path):
    path = tmp_path / "a.json.gz"
    with gzip.open(path, "wb", 1) as stream:
        for _ in range(201):
            stream.write(b" " * 1_000_000)
    with pytest.raises(DataError, match=r"over 200 MB.*JSON Lines \(\.jsonl\)"):
        read(path)


def test_sources_that_are_not_there(tmp_path):
    write(tmp_path, "answers.jsonl", LINES)
    (tmp_path / "empty").mkdir()
    for source, said in [
        ("answer.jsonl", "is not there (did you mean answers.jsonl?)"),
        ("zzz.csv", "zzz.csv: is not there"),
        ("no/a.jsonl", "is not there, nor is the folder"),
        ("empty", "is a folder without data"),
        (f"{'x' * 300}.jsonl", "cannot be read: File name too long"),
        ("answers.jsonl::train", "only a dataset folder has splits"),
    ]:
        with pytest.raises(DataError) as caught:
            open_rows(tmp_path / source)
        assert said in str(caught.value)


def test_encodings_nobody_knows():
    for encoding in ("utf-9", "base64"):  # the second is a codec, and not of text
        with pytest.raises(UnknownName, match="no encoding called"):
            open_rows("-", encoding=encoding)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    path = write(tmp_path, "a.jsonl", LINES)
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read(path)


# Columnar files and folders

TABLE = pa.table({"id": [1, 2, 3], "output": ["a", None, "c"], "docs": [["x", "y"], [], None]})
PLAIN = [
    {"id": 1, "output": "a", "docs": ["x", "y"]},
    {"id": 2, "output": None, "docs": []},
    {"id": 3, "output": "c", "docs": None},
]


def save(folder, *tables):
    """What `Dataset.save_to_disk` of datasets 5 leaves behind."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{len(tables):05d}.arrow" for i in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        with pa.ipc.new_stream(folder / name, table.schema) as stream:
            stream.write_table(table, max_chunksize=2)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_parquet(tmp_path):
    pq.write_table(TABLE, tmp_path / "a.parquet", row_group_size=2)
    assert seen(read(tmp_path / "a.parquet")) == list(enumerate(PLAIN, start=1))


D = decimal.Decimal
ODD = {
    "year_10000": (pa.array([2932897], pa.int32()).cast(pa.date32()), "10000-01-01"),
    "no_date": (pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), Unreadable),
    "date64": (pa.array([86_400_000], pa.date64()), "1970-01-02"),
    "at_10000": (pa.array([253402300800], pa.timestamp("s")), "10000-01-01 00:00:00"),
    "at": (pa.array([0], pa.timestamp("us", "Europe/Berlin")), "1970-01-01 01:00:00+0100"),
    "nowhere": (pa.array([5], pa.timestamp("ms", "No/Where")), "1970-01-01 00:00:00.005Z"),
    "nanoseconds": (pa.array([1], pa.timestamp("ns")), "1970-01-01 00:00:00.000000001"),
    "time": (pa.array([1], pa.time64("ns")), "00:00:00.000000001"),
    "duration": (pa.array([1500], pa.duration("ms")), "1.5 s"),
    "decimal": (pa.array([D("4.50")]), D("4.50")),
    "text": (pa.array([b"caf\xc3\xa9"]), "caf\u00e9"),
    "bytes": (pa.array([b"\xff\xfe\x00"], pa.binary_view()), Unreadable),
    "nan": (pa.array([float("nan")]), None),
    "half": (pa.array([1.5], pa.float16()), 1.5),
    "dictionary": (pa.array([D("1.5")]).dictionary_encode(), D("1.5")),
    "runs": (pa.RunEndEncodedArray.from_arrays([1], ["a"]), "a"),
    "uuid": (pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16))),
             "30303030-3030-3030-3030-303030303030"),
    "map": (pa.array([[("a", D("1.5")), ("b", None)]], pa.map_(pa.string(), pa.decimal128(3, 1))),
            {"a": D("1.5"), "b": None}),
    "keys": (pa.array([[(1, "x"), (2, "y")]], pa.map_(pa.int8(), pa.string())),
             [[1, "x"], [2, "y"]]),
    "interval": (pa.array([pa.MonthDayNano([1, 2, 3])]), "1 months 2 days 0.000000003 s"),
    "nested": (pa.array([[{"d": [2932897], "f": float("nan")}, None]],
                        pa.list_(pa.struct({"d": pa.list_(pa.date32()), "f": pa.float64()}))),
               [{"d": ["10000-01-01"], "f": None}, None]),
    "fixed": (pa.array([[1, 2]], pa.list_(pa.duration("s"), 2)), ["1 s", "2 s"]),
    "view": (pa.array([["a"]], pa.list_view(pa.string())), ["a"]),
    "null": (pa.nulls(1), None),
    "union": (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]), 1),
}  # fmt: skip
NOT_IN_PARQUET = {"runs", "interval", "view", "union"}


def held(value, expected):
    return type(value) if expected is Unreadable else value


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_every_type_of_a_column_is_text_or_a_number(tmp_path, kind):
    columns = {n: a for n, (a, _) in ODD.items() if kind == "arrow" or n not in NOT_IN_PARQUET}
    # In the second of three rows: what a slice begins with is not what the array begins with.
    table = pa.table({"output": ["a", "b", "c"]})
    for name, array in columns.items():
        null = pa.nulls(1, array.type) if name not in ("runs", "union") else array
        table = table.append_column(name, pa.chunked_array([null, array, null]))
    table = table.combine_chunks() if kind == "parquet" else table
    if kind == "parquet":
        pq.write_table(table, tmp_path / "a.parquet")
    else:
        with pa.ipc.new_stream(tmp_path / "a.arrow", table.schema) as stream:
            stream.write_table(table)
    _, row, _ = read(tmp_path / f"a.{kind}")
    for name in columns:
        expected = ODD[name][1]
        wanted = Unreadable if expected is Unreadable else expected
        assert held(row.data[name], expected) == wanted, name


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_columns_that_are_not_asked_for_are_not_read(tmp_path, kind):
    table = pa.table({"output": ["a" * 100], "image": [os.urandom(1000)], "": [1]})
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(table, path, compression="none", use_dictionary=False)
        content = path.read_bytes()
        spot = content.index(table["image"][0].as_py())
        path.write_bytes(content[: spot - 4] + b"\xff" * 4 + content[spot:])
        assert "cut off or damaged" in str(read(path)[0].error)
    else:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    (row,) = read(path, only={"output", "input"})
    assert row.data == {"output": "a" * 100, "image": NOT_READ, "": NOT_READ}
    (row,) = read(path, only=[])
    assert row.data == {"output": NOT_READ, "image": NOT_READ, "": NOT_READ}


def test_columns_of_one_name(tmp_path):
    two = pa.Table.from_arrays(
        [pa.array(["a"]), pa.array([1]), pa.array([2])], ["output", "x", "x"]
    )
    with pa.ipc.new_stream(tmp_path / "a.arrow", two.schema) as stream:
        stream.write_table(two)
    (row,) = read(tmp_path / "a.arrow")
    assert row.data == {"output": "a", "x": Unreadable("stands twice among the columns")}


def test_a_saved_data_set(tmp_path):
    folder = save(tmp_path / "saved", TABLE, TABLE.slice(0, 1))
    write(folder, "data-00009-of-00002.arrow", b"left over, not listed in state.json")
    rows = read(folder)
    assert seen(rows) == [*enumerate(PLAIN, start=1), (1, PLAIN[0])]
    assert [row.index for row in rows] == [0, 1, 2, 3]
    assert seen(read(folder / "data-00000-of-00002.arrow")) == list(enumerate(PLAIN, start=1))


def test_a_saved_dict_needs_a_split(tmp_path):
    save(tmp_path / "saved" / "train", TABLE)
    save(tmp_path / "saved" / "test", TABLE.slice(2))
    write(tmp_path, "saved/dataset_dict.json", '{"splits": ["train", "test"]}')
    assert seen(read(f"{tmp_path}/saved::test")) == [(1, PLAIN[2])]
    assert len(read(tmp_path / "saved::train")) == 3
    for source in ("saved", "saved::dev"):
        with pytest.raises(DataError, match=r"there are train, test \(name one, such as .*::train"):
            open_rows(tmp_path / source)


def test_hub_folders_are_read_in_name_order(tmp_path):
    for name in ("data/b.jsonl", "data/a.jsonl", "data/c.jsonl.gz"):
        content = json.dumps({"output": name}).encode()
        write(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)
    write(tmp_path, "README.md", b"# Data")
    write(tmp_path, "data/info.json", b"{}")
    names = [row.data["output"] for row in open_rows(tmp_path)]
    assert names == ["data/a.jsonl", "data/b.jsonl", "data/c.jsonl.gz"]


def test_hub_folders_do_not_mix_splits_or_kinds(tmp_path):
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test"):
        write(tmp_path, f"d/{name}.csv", f"output\n{name}\n")
    with pytest.raises(DataError, match="has more than one split; there are test, train"):
        open_rows(tmp_path / "d")
    assert [row.data["output"] for row in open_rows(tmp_path / "d::train")] == [
        "train-00000-of-00002",
        "train-00001-of-00002",
    ]
    write(tmp_path, "d/train.jsonl", LINES)
    with pytest.raises(DataError, match="holds csv and jsonl files"):
        open_rows(tmp_path / "d::train")


def test_folders_whose_own_description_is_broken(tmp_path):
    folder = save(tmp_path / "saved", TABLE)
    (folder / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(DataError, match=r"lists data-.*\.arrow, which is not there"):
        open_rows(folder)
    for content in ("{", "{}", "[]", '{"_data_files": 1}'):
        (folder / "state.json").write_text(content)
        with pytest.raises(DataError, match="has no readable list '_data_files'"):
            open_rows(folder)


def test_columnar_files_that_are_cut(tmp_path):
    table = pa.table({"output": [row["output"] for row in noise(20_000)]})
    folder = save(tmp_path / "saved", table)
    path = folder / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-100_000])
    *rows, bad = read(path)
    assert len(rows) > 1000
    assert all(isinstance(row, Row) for row in rows)
    assert "cut off or damaged" in str(bad.error)
    assert bad.line == len(rows) + 1

    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=1000, compression="snappy", use_dictionary=False)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = b"\xff" * 20_000
    path.write_bytes(content)
    *rows, bad = read(path)
    assert 1000 < len(rows) < 20_000
    assert all(isinstance(row, Row) for row in rows)
    assert "cut off or damaged" in str(bad.error)


# stdin, laziness, memory

COUNT = """
import sys
from glider.core.errors import GliderError
from glider.data.rows import open_rows
rows = open_rows(sys.argv[1])
try:
    print([row.data["output"] for row in rows])
    list(rows)
except GliderError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        (LINES, ["['a', 'b']", "stdin: can be read only once"]),
        (b"", ["stdin: has no rows"]),
        (LINES.decode().encode("utf-16"), ["stdin: is UTF-16, not UTF-8 (--encoding utf-16)"]),
    ],
)
def test_stdin(given, printed):
    done = subprocess.run([sys.executable, "-c", COUNT, "-"], input=given, capture_output=True)
    assert (done.stdout.decode().splitlines(), done.stderr) == (printed, b"")


def test_rows_come_as_they_are_asked_for(tmp_path):
    path = write(tmp_path, "a.jsonl", LINES)
    rows = open_rows(path)
    first = next(iter(rows))
    path.write_bytes(b'{"output": "new"}\n')  # each iteration reads from the start
    assert (first.data, seen(rows)) == (TWO[0], [(1, {"output": "new"})])


PEAK = """
import sys
from glider.data.rows import open_rows
n = sum(1 for row in open_rows(sys.argv[1]))
status = open("/proc/self/status").read()
print(n, status.partition("VmHWM:")[2].split()[0])
"""


def written(path, n):
    texts = [row["output"] * 2 for row in noise(n)]
    table = pa.table({"id": range(n), "output": texts})
    match path.suffix:
        case ".jsonl":
            path.write_bytes(jsonl({"output": text} for text in texts))
        case ".csv":
            with path.open("w", newline="") as stream:
                csv.writer(stream).writerows([("output",), *((text,) for text in texts)])
        case ".parquet":
            pq.write_table(table, path, row_group_size=10_000)
        case ".arrow":
            with pa.ipc.new_stream(path, table.schema) as stream:
                stream.write_table(table, max_chunksize=1000)  # as datasets writes
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "arrow"])
def test_memory_does_not_grow_with_the_rows(tmp_path, kind):
    peaks = []
    for n in (10_000, 200_000):
        path = written(tmp_path / f"{n}.{kind}", n)
        done = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, check=True)
        count, kilobytes = map(int, done.stdout.split())
        assert count == n
        peaks.append(kilobytes / 1024)
    print(f"{kind}: {peaks[0]:.1f} MB for 10,000 rows, {peaks[1]:.1f} MB for 200,000")
    assert peaks[1] - peaks[0] < 10


def test_without_pyarrow_the_install_line_is_given(tmp_path):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from glider.core.errors import MissingExtra\n"
        "from glider.data.rows import open_rows\n"
        "try: list(open_rows(sys.argv[1]))\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a.parquet"], capture_output=True, text=True
    )
    assert done.stdout.strip() == (
        "reading Parquet needs an optional package (pip install 'glider-judge[data]')"
    )


# Hashes and samples


def test_content_hash(tmp_path):
    path = write(tmp_path, "a.jsonl", LINES)
    assert content_hash_of(path) == hashlib.sha256(LINES).hexdigest()
    hashes = []
    for name, content in [("d/b.csv", b"x"), ("d/a.csv", b"y"), ("d/README.md", b"z")]:
        write(tmp_path, name, content)
        hashes.append(content_hash_of(tmp_path / "d"))
    assert hashes[0] != hashes[1] == hashes[2]  # a README is no data
    (tmp_path / "d/b.csv").rename(tmp_path / "d/c.csv")
    assert content_hash_of(tmp_path / "d") != hashes[1]
    with pytest.raises(DataError, match="read only once"):
        content_hash_of("-")


@pytest.mark.parametrize(
    ("limit", "seed", "places"),
    [
        (None, None, [0, 1, 2, 3]),
        (2, None, [0, 1]),
        (9, None, [0, 1, 2, 3]),
        (9, 7, [0, 1, 2, 3]),
        (4, 7, [0, 1, 2, 3]),
    ],
)
def test_sampled_small(limit, seed, places):
    rows = [Row(i, i + 1, {}) for i in range(4)]
    assert [row.index for row in sampled(rows, limit, seed)] == places


def test_sampled_is_uniform_ordered_and_repeatable():
    rows = [Row(i, i + 1, {}) for i in range(20)]
    hits = [0] * 20
    for seed in range(2000):
        drawn = [row.index for row in sampled(rows, 5, seed)]
        assert drawn == sorted(set(drawn))
        assert len(drawn) == 5
        assert drawn == [row.index for row in sampled(iter(rows), 5, seed)]
        for index in drawn:
            hits[index] += 1
    # 2000 draws of 5 in 20: 500 each, standard deviation 19.4.
    assert min(hits) > 420
    assert max(hits) < 580


def test_sampled_refuses_no_rows():
    with pytest.raises(SetupError, match="a limit of 0 leaves no rows"):
        sampled([], 0, None)
