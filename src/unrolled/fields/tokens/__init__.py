"""What text and tag fields stand on, and no fields: words and marks, pieces of words, chunks of tagged words."""

from unrolled.fields.tokens.chunks import learned_scheme, odd_tags, scheme_of, spans, to_bio, to_iobes, write_chunks
from unrolled.fields.tokens.marks import JOINER, UNKNOWN_TOKEN, bare, join_marks, split_marks, split_spaces

__all__ = [
    "JOINER", "UNKNOWN_TOKEN", "bare", "join_marks", "learned_scheme", "odd_tags", "scheme_of", "spans", "split_marks",
    "split_spaces",     "to_bio", "to_iobes", "write_chunks",
]  # fmt: skip
