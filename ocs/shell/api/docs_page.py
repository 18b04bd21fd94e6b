"""The API's own page, offline: every file comes from the package, and a policy forbids the browser any other place.

`/openapi.json` is OpenAPI 3.1.  The page's Swagger UI reads 3.0, so it gets the same document said in 3.0's words.
"""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from swagger_ui_bundle import swagger_ui_path

from ocs.errors import NotFound

FILES: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Session Purchaser API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<noscript><p>The same is in <a href="openapi.json">openapi.json</a>.</p></noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

# Without the last line the page would ask a validator in the outside world whenever the host is not localhost.
_START: Final = """SwaggerUIBundle({
  url: "docs/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
});
"""


def install(app: FastAPI) -> None:
    """Serve the page, its files and its document."""

    @app.get("/", include_in_schema=False)
    async def front() -> RedirectResponse:
        return RedirectResponse("docs", status_code=307)

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})

    @app.get("/docs/start.js", include_in_schema=False)
    async def start() -> Response:
        return Response(_START, media_type="text/javascript")

    @app.get("/docs/openapi.json", include_in_schema=False)
    async def document() -> JSONResponse:
        return JSONResponse(in_3_0(app.openapi()) | {"openapi": "3.0.3"})

    @app.get("/docs/{name}", include_in_schema=False)
    async def file(name: str) -> FileResponse:
        if name not in FILES:
            raise NotFound("the page has no such file")
        return FileResponse(
            str(swagger_ui_path / name), media_type=FILES[name], headers={"Cache-Control": "max-age=86400"}
        )


def in_3_0(node: Any) -> Any:
    """Say a part of an OpenAPI 3.1 document in 3.0's words.

    `anyOf` with null becomes `nullable`, a list of examples its first one, `const` an `enum` of one.
    """
    if isinstance(node, list):
        return [in_3_0(one) for one in node]
    if not isinstance(node, dict):
        return node
    said = {key: in_3_0(value) for key, value in node.items()}
    choices = said.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        left = [choice for choice in choices if choice != {"type": "null"}]
        del said["anyOf"]
        if len(left) == 1 and "$ref" not in left[0]:
            said = left[0] | said
        else:
            said["anyOf"] = left
        said["nullable"] = True
    if isinstance(said.get("examples"), list):
        said["example"] = said.pop("examples")[0]
    if "const" in said:
        said["enum"] = [said.pop("const")]
    return said
