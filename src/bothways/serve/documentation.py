"""The page `/docs`: the OpenAPI description as HTML, without scripts and external requests."""

import json
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any


def documentation_page(description: dict[str, Any]) -> str:
    """Return an HTML page for an OpenAPI description."""
    info = description["info"]
    operations = [
        _operation(path, method, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])}</title>",
            '<link rel="stylesheet" href="/docs.css">',
            "</head>",
            "<body>",
            "<main>",
            f"<h1>{escape(info['title'])}</h1>",
            f"<p>{escape(info.get('description', ''))}</p>",
            '<p>This page as a machine reads it: <a href="/openapi.json">openapi.json</a>.</p>',
            *operations,
            "</main>",
            "</body>",
            "</html>",
        ]
    )


@cache
def style_sheet() -> str:
    """Return the style sheet of the page."""
    return (files("bothways.serve") / "static" / "docs.css").read_text(encoding="utf-8")


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>",
    ]
    if operation.get("security"):
        parts.append("<p>Needs the header <code>Authorization: Bearer TOKEN</code>.</p>")
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h3>Body: <code>{escape(kind)}</code></h3>")
        parts.append(_json("Schema", content["schema"]))
        if "example" in content:
            parts.append(_json("Example", content["example"]))
    parts.append("<h3>Responses</h3><dl>")
    for status, response in sorted(operation.get("responses", {}).items()):
        parts.append(f"<dt>{escape(status)}</dt><dd>{escape(response.get('description', ''))}")
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        if schema and status.startswith("2"):
            parts.append(_json("Schema", schema))
        parts.append("</dd>")
    parts.append("</dl></section>")
    return "\n".join(parts)


def _json(title: str, value: Any) -> str:
    text = escape(json.dumps(value, indent=2, ensure_ascii=False))
    return f'<details><summary>{title}</summary><pre tabindex="0">{text}</pre></details>'
