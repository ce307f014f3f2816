"""Records of several sequences that come one after the other, as text, and their answers.

The command line and the server pass the text; they own its source, its end, and their clients. The
states of the sequences belong to `bothways.models.streaming`.
"""

from bothways.models.following.follower import MOST_SEQUENCES, Follower
from bothways.models.following.lines import RecordLines
from bothways.models.following.records import Record, truth

__all__ = ["MOST_SEQUENCES", "Follower", "Record", "RecordLines", "truth"]
