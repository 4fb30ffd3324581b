import gzip
from pathlib import Path

import numpy as np
import pytest

from unrolled.data import read_vectors, vectors_for, words_wanted
from unrolled.errors import DataError
from unrolled.fields import Text


def write(folder: Path, content: str | bytes, name: str = "vectors.txt") -> Path:
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


GLOVE = "the 0.5 -1 2e-1\n, 1 2 3\n. . . 4 5 6\n7 7 8 9\n"


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("content", [GLOVE, "4 3\n" + GLOVE, "\ufeff" + GLOVE, GLOVE.replace("\n", " \r\n")])
def test_both_forms_of_file_are_read(tmp_path: Path, name: str, content: str) -> None:
    vectors = read_vectors(write(tmp_path, content, name))
    assert vectors.words == ("the", ",", ". . .", "7")
    assert vectors.matrix.dtype == np.float32
    assert np.array_equal(vectors.matrix, np.array([[0.5, -1, 0.2], [1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32))


def test_what_was_written_is_read_to_the_bit(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    words = [f"wörd\u0085{i}" for i in range(50)]
    lines = [" ".join([word, *map(str, row.tolist())]) for word, row in zip(words, matrix)]
    vectors = read_vectors(str(write(tmp_path, "\n".join(lines))))
    assert vectors.words == tuple(words)
    assert np.array_equal(vectors.matrix, matrix)


def test_the_first_line_may_hold_a_word_with_spaces_or_a_number_as_its_word(tmp_path: Path) -> None:
    assert read_vectors(write(tmp_path, ". . 1 2\na 3 4\n")).words == (". .", "a")
    vectors = read_vectors(write(tmp_path, "1 2 3\na 3 4\n"))
    assert vectors.words == ("1", "a")
    assert vectors.matrix.shape == (2, 2)


def test_only_the_words_asked_for_are_kept_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, GLOVE)
    assert read_vectors(path, {"7", "the", "absent"}).words == ("the", "7")
    nothing = read_vectors(path, set())
    assert nothing.words == ()
    assert nothing.matrix.shape == (0, 3)


def test_a_word_that_comes_again_keeps_its_first_vector(tmp_path: Path) -> None:
    vectors = read_vectors(write(tmp_path, "3 2\na 1 2\nb 3 4\na 5 6\n"))
    assert vectors.words == ("a", "b")
    assert vectors.matrix.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no vectors"),
        ("\n \n", "holds no vectors"),
        ("0 3\n", "holds no vectors"),
        ("a b c\n", "a word and its numbers, but line 1 is 'a b c'"),
        ("a\n", "a word and its numbers, but line 1 is 'a'"),
        ("a 1 2\nb 3\n", "a word and 2 numbers, but line 2 holds 1 columns after its first, 'b 3'"),
        ("a 1 2\n\nb 3 4 5\n", "a word and 2 numbers, but line 3 holds 3 columns after its first, 'b 3 4 5'"),
        ("1 3\na 1 2\n", "a word and 3 numbers, but line 2 holds 2 columns"),
        ("a 1 2\nb x 4\n", "a number, but line 2 holds 'x'"),
        ("a 1 2\nb 1 nan\n", "line 2 holds a value that is no finite"),
        ("a 1 2\nb 1 1e39\n", "line 2 holds a value that is no finite"),
        ("3 2\na 1 2\nb 3 4\n", "line 1 says 3 vectors follow, but there are 2"),
        ("1 2\na 1 2\nb 3 4\n", "line 1 says 1 vectors follow, but there are 2"),
        (b"a 1 2\n  b\xff 1 2\n", r"not UTF-8 text \(invalid start byte at byte 9, line 2\)"),
        (b"\xef\xbb\xbf\xff 1 2\n", r"at byte 3, line 1\)"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"^vectors\.txt.*{message}"):
        read_vectors(write(tmp_path, content))


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, GLOVE * 100, "glove.txt.gz")
    with pytest.raises(DataError, match=r"Did you mean 'glove\.txt\.gz'"):
        read_vectors(tmp_path / "glove.txt")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"glove\.txt\.gz cannot be read"):
        read_vectors(path)
    path.write_bytes(b"\x1f\x8b and no more")
    with pytest.raises(DataError, match=r"glove\.txt\.gz cannot be read"):
        read_vectors(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(tmp_path)


def test_tokens_find_their_vectors_as_they_are_or_in_lower_case(tmp_path: Path) -> None:
    path = write(tmp_path, "the 1 1\nThe 2 2\n, 3 3\n<unk> 4 4\n<pad> 5 5\ncat 6 6\nother 7 7\n")
    text = Text.fit(["The CAT, the dog"])
    matrix, found = vectors_for(text, read_vectors(path))
    expected = {"The": 2, "the": 1, "CAT": 6, "￭,": 3, "<unk>": 4}
    assert matrix.dtype == np.float32
    for token, row, there in zip(text.tokens, matrix, found):
        assert there == (token in expected)
        assert row.tolist() == [expected.get(token, 0)] * 2


def test_the_words_wanted_are_those_that_are_looked_up(tmp_path: Path) -> None:
    path = write(tmp_path, "the 1 1\nThe 2 2\n, 3 3\ncat 6 6\nother 7 7\n")
    text = Text.fit(["The CAT, dog"])
    wanted = words_wanted(text)
    assert {",", "CAT", "cat"} <= wanted
    some, all_of_them = read_vectors(path, wanted), read_vectors(path)
    assert "other" not in some.words
    for less, whole in zip(vectors_for(text, some), vectors_for(text, all_of_them)):
        assert np.array_equal(less, whole)
