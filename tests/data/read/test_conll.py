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
        ("EU\tB\n\tO\n", None, r"Line 2 of a\.conll has an empty word"),
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
