"""Messages about names."""

from bothways.errors import MOST_LISTED, describe_unknown

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
