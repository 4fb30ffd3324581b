"""What text and tag fields stand on, and no fields: words and marks, pieces of words, chunks of tagged words."""

from unrolled.fields.tokens.chunks import spans, to_bio, to_iobes
from unrolled.fields.tokens.marks import JOINER, UNKNOWN_TOKEN, bare, join_marks, split_marks

__all__ = ["JOINER", "UNKNOWN_TOKEN", "bare", "join_marks", "spans", "split_marks", "to_bio", "to_iobes"]
