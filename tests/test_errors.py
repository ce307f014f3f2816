"""Messages of errors: one line, names that are similar."""

from bothways.errors import MOST_LISTED, DataError, describe_unknown

NAMES = [f"setting_{n}" for n in range(MOST_LISTED)]


def test_few_names_are_all_listed():
    message = describe_unknown("setting", "setting_", NAMES)
    assert message.endswith(f"Expected one of {', '.join(NAMES)}.")


def test_of_many_names_the_similar_ones_are_listed():
    message = describe_unknown("setting", "hiden_size", [*NAMES, "hidden_size"])
    assert message == (
        "setting 'hiden_size' is unknown; did you mean 'hidden_size'? "
        f"Expected one of hidden_size, … ({MOST_LISTED + 1} names)."
    )


def test_of_many_names_all_are_listed_if_none_is_similar():
    assert describe_unknown("setting", "xyz", [*NAMES, "last"]).endswith(f"{NAMES[-1]}, last.")


def test_what_a_message_quotes_cannot_break_its_line():
    message = str(DataError("x.csv has columns a\r\nb\x1b, \ud800; expected a. Rename it."))
    assert message == "x.csv has columns a��b�, �; expected a. Rename it."
    message.encode()


def test_a_long_message_keeps_its_beginning_and_its_next_step():
    message = str(DataError(f"x.csv holds {'9' * 5000}; expected a number. Fix it."))
    assert len(message) == 1000
    assert message.startswith("x.csv holds 999")
    assert message.endswith("999; expected a number. Fix it.")
