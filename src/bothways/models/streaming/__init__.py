"""Answers while the data still come: the states of open sequences, and their next steps.

The states of a trained model and their files belong here. Records of several sequences, as text,
belong to `bothways.models.following`.
"""

from bothways.models.streaming.running_model import RunningModel
from bothways.models.streaming.stream import Stream

__all__ = ["RunningModel", "Stream"]
