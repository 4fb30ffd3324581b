"""Tagged sentences from files of columns and from CoNLL-U."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from unrolled.data import read_conll
from unrolled.errors import DataError

UNIVERSAL = """\
# newdoc id = x
# text = don't go, New York
1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tdo\tdo\tAUX\tVB\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
3.1\tgone\tgo\tVERB\tVBN\t_\t_\t_\t_\t_

# text = # 1
1\t#\t#\tSYM\tNFP\t_\t2\tdep\t_\t_
2\tNew York\tNew York\tPROPN\tNNP\t_\t0\troot\t_\t_
"""


def written(folder: Path, text: str, name: str = "a.conll") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.conllu", "a.conllu.gz", "a.txt"])
def test_conllu_gives_words_without_ranges_nodes_and_comments(tmp_path: Path, name: str) -> None:
    sentences = read_conll(written(tmp_path, UNIVERSAL, name))
    assert sentences.words == [["do", "n't", "go"], ["#", "New York"]]
    assert sentences.tags == [["AUX", "PART", "VERB"], ["SYM", "PROPN"]]
    assert [sentences.place(i) for i in range(2)] == [f"line 4 of {name}", f"line 10 of {name}"]


@pytest.mark.parametrize(("column", "tags"), [("xpos", ["NFP", "NNP"]), ("DEPREL", ["dep", "root"]), (-4, ["2", "0"])])
def test_any_column_of_conllu_can_be_the_tag(tmp_path: Path, column: str | int, tags: list[str]) -> None:
    assert read_conll(written(tmp_path, UNIVERSAL, "a.conllu"), column).tags[1] == tags


@pytest.mark.parametrize("space", ["\t", " ", "  "], ids=["tab", "space", "spaces"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("parting", ["", "\t", " \t "], ids=["empty", "tab", "white"])
def test_columns_and_sentences_are_parted_in_many_ways(tmp_path: Path, space: str, end: str, parting: str) -> None:
    lines = ["", "-DOCSTART- -X- O", "", "#hash NN O", "# NN O", "", "", "EU NNP B-ORG", "rejects VBZ O"]
    text = end.join((line.replace(" ", space) if line else parting) for line in lines)
    sentences = read_conll(written(tmp_path, text))
    assert sentences.words == [["#hash", "#"], ["EU", "rejects"]]
    assert sentences.tags == [["O", "O"], ["B-ORG", "O"]]
    assert read_conll(written(tmp_path, text), 1).tags == [["NN", "NN"], ["NNP", "VBZ"]]
    assert sentences.select([1]).place(0) == "line 8 of a.conll"
    assert sentences.select([1, 1]).words == [["EU", "rejects"]] * 2


def test_a_comment_stands_before_a_sentence_only(tmp_path: Path) -> None:
    sentences = read_conll(written(tmp_path, "# id 7\nEU\tB\n#x\tO\n\n# id 8\n#y\tO\n"))
    assert sentences.words == [["EU", "#x"], ["#y"]]
    sentences = read_conll(written(tmp_path, "# id 7\tdomain=en\n\nEU _ _ B\n\n# id 8\tdomain=en\n# _ _ O\n"))
    assert sentences.words == [["EU"], ["#"]]
    assert read_conll(written(tmp_path, "#x\tO\n")).words == [["#x"]]


def test_standard_input_holds_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"EU\tB\n")))
    assert read_conll("-").words == [["EU"]]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("EU\tB\nrejects\n", None, r"Line 2 of a\.conll has 1 columns where 2 are expected"),
        ("EU\tB\n# x\n", None, r"Line 2 of a\.conll has 1 columns"),
        ("1\tEU\n2\tthe\n\n1\ta\n", None, "all of its columns before the last count"),
        ("EU\tB\nthe\t\n", None, r"Line 2 of a\.conll has an empty tag"),
        ("EU\nthe\n", None, "'EU' stands alone"),
        ("\n\n", None, "holds no words"),
        ("EU\tB\n", 2, "no column 2 in a.conll: give a number from 0 to 1"),
        ("EU\tB\n", "upos", "only CoNLL-U has names"),
        (UNIVERSAL, "upso", "Did you mean 'upos'"),
        (UNIVERSAL.replace("3\tgo", "x\tgo", 1), None, "Line 6 of a.conll has 'x' where CoNLL-U counts"),
        (UNIVERSAL.replace("\troot", "", 1), None, "Line 6 of a.conll has 9 columns where 10"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, column: str | int | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_conll(written(tmp_path, text), column)


HEADERS = ["word\ttag\n\n", "Token\tNER\n", "-DOCSTART-\tO\n\nword\ttag\n"]


@pytest.mark.parametrize("header", HEADERS)
def test_names_of_columns_are_no_word_and_are_said(tmp_path: Path, header: str) -> None:
    sentences = read_conll(written(tmp_path, f"{header}EU\tB-ORG\nword\tO\n\n{header}the\tO\n"))
    assert sentences.words == [["EU", "word"], ["the"]]
    assert any("no word" in remark for remark in sentences.remarks)


def test_names_of_columns_say_which_is_which(tmp_path: Path) -> None:
    path = written(tmp_path, "ner pos token\nB-ORG NNP EU\nO VBZ rejects\n")
    assert read_conll(path).words == [["EU", "rejects"]]
    assert read_conll(path).tags == [["NNP", "VBZ"]]
    assert read_conll(path, "ner").tags == [["B-ORG", "O"]]
    with pytest.raises(DataError, match="Did you mean 'ner'"):
        read_conll(path, "nre")


@pytest.mark.parametrize("lines", [
    ["1 EU NNP B", "2 rejects VBZ O", "", "1 Peter NNP B"],
    ["0 EU NNP B", "1 rejects VBZ O", "", "0 Peter NNP B"],
    ["1 EU NNP B", "2 rejects VBZ O", "", "3 Peter NNP B"],
    ["1 EU NNP B", "1 rejects VBZ O", "", "2 Peter NNP B"],
    ["wsj 0 0 EU NNP B", "wsj 0 1 rejects VBZ O", "", "wsj 0 0 Peter NNP B"],
    ["1-2 EUr _ _", "1 EU NNP B", "2 rejects VBZ O", "2.1 _ _ _", "", "1 Peter NNP B"],
])  # fmt: skip
@pytest.mark.parametrize("space", ["\t", " "], ids=["tab", "space"])
def test_columns_that_count_hold_no_words(tmp_path: Path, lines: list[str], space: str) -> None:
    sentences = read_conll(written(tmp_path, "\n".join(lines).replace(" ", space)))
    assert sentences.words == [["EU", "rejects"], ["Peter"]]
    assert sentences.tags == [["B", "O"], ["B"]]
    assert any("counts them" in remark for remark in sentences.remarks)


def test_numbers_that_do_not_count_are_words(tmp_path: Path) -> None:
    sentences = read_conll(written(tmp_path, "1 CD O\n3 CD O\n\nEU NNP B\n1 CD O\n2 CD O\n"))
    assert sentences.words == [["1", "3"], ["EU", "1", "2"]]
    assert sentences.remarks == ()


@pytest.mark.parametrize(
    "word", ["10\u00a0000", "\u3000", "a\u2009b", "a\u2028b", "a\x85b", "a\x0bb", "a\x0cb", "a\x1cb"]
)
@pytest.mark.parametrize("space", ["\t", " "], ids=["tab", "space"])
def test_other_white_space_than_spaces_belongs_to_its_word(tmp_path: Path, word: str, space: str) -> None:
    assert read_conll(written(tmp_path, f"EU{space}B\n{word}{space}O\n")).words == [["EU", word]]


def test_lines_that_end_in_a_carriage_return_are_lines(tmp_path: Path) -> None:
    for end in ("", "\r", "\n"):
        sentences = read_conll(written(tmp_path, f"Jan\tB\rruns\tO\r\rAnn\tB{end}"))
        assert sentences.words == [["Jan", "runs"], ["Ann"]]
        assert sentences.place(1) == "line 4 of a.conll"


def test_lines_without_a_word_are_left_out_and_counted(tmp_path: Path) -> None:
    sentences = read_conll(written(tmp_path, "\ufeffEU\tB\n\tO\n \tO\n\n\tO\n\nthe\tO\n"))
    assert sentences.words == [["EU"], ["the"]]
    assert sentences.remarks == ("a.conll: 3 lines without a word left out, the first is 2",)
    assert sentences.select([1]).remarks == sentences.remarks
