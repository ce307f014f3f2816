"""Make all trainings of a process short, for tests that run what a reader types.

The documentation trains networks of a useful size on whole datasets. `shorten` keeps the commands
and the code as they are: settings are checked as usual, and then replaced by those of a tiny
network and of three optimizer steps. MNIST is its first digits.
"""

import signal

from bothways.data.builtin import mnist
from bothways.recipes import Recipe
from bothways.training.history import History

SETTINGS = {"hidden_size": 4, "steps": 3, "epochs": None, "log_every": 1}
DIGITS = 300  # of the training images, and of the test images


def shorten(replace):
    """Shorten trainings; `replace` is a function like `setattr`."""
    with_settings, verified = Recipe.with_settings, mnist._verified

    def with_short_settings(recipe, settings):
        chosen = with_settings(recipe, settings)
        small_stem = {"stem_channels": 4} if chosen.model.stem_channels else {}
        return with_settings(chosen, SETTINGS | small_stem)

    replace(Recipe, "with_settings", with_short_settings)
    replace(mnist, "_verified", lambda name: verified(name)[:DIGITS])


def interrupt(replace):
    """Press Ctrl-C after the first optimizer step of a training."""
    write = History.write

    def write_and_interrupt(history, kind, facts):
        write(history, kind, facts)
        if kind == "step":
            signal.raise_signal(signal.SIGINT)

    replace(History, "write", write_and_interrupt)
