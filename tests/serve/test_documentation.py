import re
from html.parser import HTMLParser

from serving import make_model

from bothways.serve.app import create_app
from bothways.serve.documentation import documentation_page, style_sheet


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_the_page_describes_every_path_without_external_requests():
    description = create_app(make_model()).openapi()
    page = documentation_page(description)
    elements = Elements(page).found
    for path in description["paths"]:
        assert f" {path}</code>" in page
    assert not {"script", "style", "iframe", "img"} & {tag for tag, _ in elements}
    for _, attributes in elements:
        assert not {"style", "onclick", "onload"} & set(attributes)
        for name in ("href", "src"):
            assert attributes.get(name, "/").startswith("/")
    assert not re.search(r"url\(|@import", style_sheet())


def test_names_are_escaped():
    model = make_model(features=("<script>alert(1)</script>", "b", "c"))
    assert "<script>" not in documentation_page(create_app(model).openapi())
