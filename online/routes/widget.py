"""`GET /widget.js`: the question box that a help centre puts into its own pages with one script tag.

The script is public, as any page may load it; what it asks goes through `POST /v1/answers`, where the origin has to be
listed and visitors see the public collections only. Its address stays the same, so browsers ask again after ten
minutes whether it has changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from fastapi import APIRouter, Request, Response

_STATIC = Path(__file__).parents[1] / "static"
_CACHED = "public, max-age=600, stale-while-revalidate=86400"


def widget() -> APIRouter:
    """Return the route."""
    router = APIRouter(include_in_schema=False, default_response_class=Response)
    script = widget_script().encode()
    tag = f'"{hashlib.sha256(script).hexdigest()[:16]}"'
    headers = {"cache-control": _CACHED, "etag": tag, "cross-origin-resource-policy": "cross-origin"}

    async def send(request: Request) -> Response:
        known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
        if tag in known:
            return Response(status_code=304, headers=headers)
        return Response(script, headers=headers, media_type="text/javascript; charset=utf-8")

    router.add_api_route("/widget.js", send, methods=["GET", "HEAD"])
    return router


def widget_script() -> str:
    """Return the script: its style and what it shares with the page in front, and no name of it global."""
    style = _shortened((_STATIC / "widget.css").read_text(encoding="utf-8"))
    parts = [(_STATIC / name).read_text(encoding="utf-8") for name in ("answers.js", "widget.js")]
    lines = (line.strip() for part in parts for line in part.splitlines())
    body = "\n".join(line for line in lines if line and not line.startswith("//"))
    return f"(() => {{\nconst STYLE = {json.dumps(style)};\n{body}\n}})();\n"


def _shortened(style: str) -> str:
    """Return a style sheet without comments and without the white space that only people need."""
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    return re.sub(r"(?<=[:;{},]) | (?=[{}])", "", " ".join(style.split())).replace(";}", "}")
