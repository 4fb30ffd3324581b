"""Tagged sentences as `unrolled.data` gives them, for imports by this name; `unrolled.data.read.conll` reads them."""

from unrolled.data.read.conll import Sentences as Sentences
from unrolled.data.read.conll import read_conll as read_conll
