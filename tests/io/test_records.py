"""Records: what is read is what was written, or an error."""

import json
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypedDict

from normalgen.errors import DataError
from normalgen.io.atomic import write_json
from normalgen.io.records import parse, read_json, read_rows, read_table, row_line, seal, unseal, write_record


class Part(TypedDict):
    name: str
    size: int
    weights: dict[str, float]


PART: dict[str, Any] = {"name": "nut \udcff \u2603", "size": 3, "weights": {"p": 0.1}, "more": [1, None, "x"]}


def test_a_record_comes_back_with_odd_names_and_with_entries_that_its_type_does_not_know(tmp_path: Path) -> None:
    write_record(tmp_path / "part.json", PART)
    assert read_json(tmp_path / "part.json", Part, "again") == PART
    assert read_json(tmp_path / "none.json", Part, "again") is None


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, ending: str) -> None:
    write_record(tmp_path / "part.json", PART)
    text = (tmp_path / "part.json").read_text()
    (tmp_path / "part.json").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", ending).encode())
    assert read_json(tmp_path / "part.json", Part, "again") == PART


@pytest.mark.parametrize("value", [4, "3", 3.0, True, None, [3]])
def test_an_edited_value_is_refused_whether_its_type_fits_or_not(tmp_path: Path, value: object) -> None:
    write_record(tmp_path / "part.json", PART)
    data = json.loads((tmp_path / "part.json").read_text()) | {"size": value}
    (tmp_path / "part.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"part\.json is damaged, or normalgen did not write it \((size|its sha256)"):
        read_json(tmp_path / "part.json", Part, "again")


BAD = [b"", b"{", b"[1]", b"null", b"\xff\xfe{", b"[" * 100_000, b'{"name": NaN}', b'{"size": 1e999}', b"9" * 5000]


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_what_is_not_json_or_of_another_type_is_a_value_error_of_one_line(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        parse(data, Part)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        parse(data.decode("latin-1").encode("utf-16"), Part)


def test_a_number_that_json_does_not_have_is_never_written(tmp_path: Path) -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(tmp_path / "x.json", {"deep": [{"value": value}]})
    assert list(tmp_path.iterdir()) == []


def test_rows_end_at_the_first_damaged_one_which_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(row_line(PART) + row_line(PART, digested=True) + b'{"name": 1}\n' + row_line(PART))
    found = read_rows(path, Part)
    assert (found.rows, len(found.lines), found.torn) == ([PART, PART], 2, False)
    assert found.fault.startswith("line 3 is damaged")
    path.write_bytes(row_line(PART) + row_line(PART)[:-5])
    assert (len(read_rows(path, Part).rows), read_rows(path, Part).torn) == (1, True)
    assert read_rows(tmp_path / "none", Part).rows == []


class Line(TypedDict):
    image: str


def test_a_table_is_of_its_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image, more\na.png, 1\n")
    assert read_table(tmp_path / "t.csv", Line, "again") == [{"image": "a.png", "more": "1"}]


@pytest.mark.parametrize("text", ["other\n1\n", 'image\n"half', "image,more\na.png\n\xff", "more,image\nonly\n"])
def test_another_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"^[^\n]+t\.csv is damaged, or another table [^\n]+again$"):
        read_table(tmp_path / "t.csv", Line, "again")


def test_a_flipped_bit_breaks_the_seal() -> None:
    sealed = bytearray(seal(b"weights"))
    assert unseal(bytes(sealed)) == b"weights"
    for place in range(len(sealed)):
        sealed[place] ^= 1
        with pytest.raises(ValueError, match="damaged"):
            unseal(bytes(sealed))
        sealed[place] ^= 1
