import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bothways.models.card.markdown import code, code_list, yaml_text

PRINTABLE = st.text(st.characters().filter(str.isprintable) | st.sampled_from("` "), max_size=80)


@given(st.text(max_size=40))
def test_any_text_is_one_line_of_yaml(text):
    line = f"name: {yaml_text(text)}"
    assert len(line.splitlines()) == 1
    assert yaml.safe_load(line) == {"name": text}


def test_surrogates_are_replaced_in_yaml():
    assert yaml.safe_load(yaml_text("a\udc80")) == "a\N{REPLACEMENT CHARACTER}"


@given(PRINTABLE)
def test_any_printable_name_is_shown_as_it_is(name):
    inline = MarkdownIt().parseInline(f"a {code(name)} b")[0].children
    assert [part.type for part in inline] == ["text", "code_inline", "text"]
    expected = name if name.strip(" ") else name + "  "
    assert inline[1].content == expected


def test_long_names_and_long_lists_are_shortened():
    assert code("x" * 80) == f"`{'x' * 80}`"
    assert code("x" * 81) == f"`{'x' * 79}…`"
    assert code_list([str(n) for n in range(3)]) == "`0`, `1`, `2`"
    assert code_list([str(n) for n in range(2000)], shown=1) == "`0` and 1,999 more"


def test_control_characters_are_replaced():
    assert (
        code("a\nb\u2028\x1b")
        == "`a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}`"
    )
