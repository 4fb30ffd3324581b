"""Tagged sentences in a .csv file with a header."""

from pathlib import Path

import pytest

from unrolled.data.read.tag_tables import read_tag_table
from unrolled.errors import DataError
from unrolled.fields.text import Text
from unrolled.tasks.reading.tagged import read_tagged


def read(folder: Path, text: str, column: str | int | None = None) -> tuple[list[list[str]], list[list[str]], str]:
    path = folder / "ner.csv"
    path.write_text(text)
    found = read_tag_table(path, column)
    assert found is not None
    return found[0].words, found[0].tags, "; ".join(found[1])


WORDS, TAGS = [["Thousands", "of", "London"], ["a,b"]], [["O", "O", "B-geo"], ["O"]]


@pytest.mark.parametrize(
    "text",
    [
        'Sentence #,Word,POS,Tag\nSentence: 1,Thousands,NNS,O\n,of,IN,O\n,London,NNP,B-geo\nSentence: 2,"a,b",X,O\n',
        "sentence_id;token;ner\n1;Thousands;O\n1;of;O\n1;London;B-geo\n2;a,b;O\n",
        '\ntokens,labels\nThousands,O\nof,O\nLondon,B-geo\n\n"a,b",O\n',
        'tag,word,sentence\nO,Thousands,x\nO,of,x\nB-geo,London,x\nO,"a,b",y\n',
    ],
)
def test_a_word_a_row_under_usual_names_is_read(tmp_path: Path, text: str) -> None:
    words, tags, said = read(tmp_path, text)
    assert (words, tags) == (WORDS, TAGS)
    assert said.startswith("words: column")


def test_a_sentence_named_again_after_empty_fields_begins_anew(tmp_path: Path) -> None:
    words, _, said = read(tmp_path, "Sentence #,Word,POS,Tag\n" + "Sentence: 1,a,X,O\n,b,X,O\n" * 2)
    assert words == [["a", "b"], ["a", "b"]]
    assert said == "words: column 'Word', tags: column 'Tag', sentences by 'Sentence #'; columns left alone: POS"


def test_the_column_of_tags_is_named_or_counted(tmp_path: Path) -> None:
    text = "Sentence #,Word,POS,Tag\nSentence: 1,a,X,O\n,b,Y,O\n"
    for column in ("POS", 2, -2):
        assert read(tmp_path, text, column)[1] == [["X", "Y"]]
    with pytest.raises(DataError, match=r"Column 'pos' is not in ner\.csv\. Did you mean 'POS'"):
        read(tmp_path, text, "pos")
    with pytest.raises(DataError, match="There is no column 4"):
        read(tmp_path, text, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word,kind\na,O\n", "none of tags with a usual name"),
        ("word,tag\na,O\nb\n", "Line 3 of ner.csv has 1 fields where 2 are expected"),
        ("word,tag\na,O\nb,\n", "Line 3 of ner.csv has an empty tag"),
        ("word,tag\n,O\n", "holds no words"),
        ("tokens,ner_tags\n\"['a', 'b']\",\"['O', 'O']\"\n", "Line 2 of ner.csv holds a whole sentence"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_a_row_without_a_word_is_counted(tmp_path: Path) -> None:
    words, _, said = read(tmp_path, "word,tag\na,O\n,O\nb,O\n")
    assert words == [["a", "b"]]
    assert "1 rows without a word: left out" in said


def test_other_files_are_left_to_other_readers(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a b\nc d\n")
    (tmp_path / "x.tsv").write_text("word\ttag\n")
    assert read_tag_table(tmp_path / "x.csv") is None
    assert read_tag_table(tmp_path / "x.tsv") is None


def test_a_tagger_reads_such_a_table_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ner.csv"
    path.write_text("Sentence #,Word,POS,Tag\nSentence: 1,a,X,O\n,b,Y,B-x\n")
    corpus = read_tagged(str(path), None, Text.fit([]))
    assert corpus.tags == [["O", "B-x"]]
    assert "sentences by 'Sentence #'" in corpus.remarks[0]
