"""A guarded Flask application with two tenants. `python flask_app.py` sends some requests to it.

`flask --app flask_app run` serves it.
"""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from iam_guard_flask import IamGuard, inventory

from iam_guard import Service, current_principal, open_guard, public
from iam_guard.authn import format_api_key

docs = Service("docs")
DOCUMENTS: dict[tuple[str, str], str] = {}

app = Flask(__name__, static_folder=None)
guard = open_guard(Path(__file__).with_name("iam.yaml"), services=[docs])
extension = IamGuard(app, guard=guard)


@app.get("/documents/<document_id>")
@docs.requires("GetDocument", resource="document/{document_id}")
def get_document(document_id: str) -> dict[str, str]:
    """Return a document of the caller's own account."""
    account = current_principal().account or ""
    return {"account": account, "text": DOCUMENTS.get((account, document_id), "")}


@app.put("/documents/<document_id>/<text>")
@docs.requires("PutDocument", resource="document/{document_id}")
def put_document(document_id: str, text: str) -> dict[str, str]:
    """Write a document of the caller's own account."""
    account = current_principal().account or ""
    DOCUMENTS[account, document_id] = text
    return {"account": account, "text": text}


@app.get("/health")
@public
def health() -> str:
    """Answer without authentication."""
    return "ok"


extension.check(app)

CALLERS = {
    "ada of acme": format_api_key("ADAS", "adasecret00123456789abcdefghijklmnopqrst"),
    "rita of acme": format_api_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst"),
    "gus of globex": format_api_key("GUSS", "gussecret00123456789abcdefghijklmnopqrst"),
}


def main() -> None:
    """Print the guards of the views, and the results of some requests."""
    for endpoint in inventory(app):
        print(f"{endpoint!s:55} {', '.join(endpoint.guards)}")
    client = app.test_client()
    for caller, key in CALLERS.items():
        headers = {"authorization": f"Bearer {key}"}
        for method, path in (("PUT", "/documents/7/draft"), ("GET", "/documents/7")):
            answer = client.open(path, method=method, headers=headers)
            print(f"{caller:15} {method:4} {path:20} {answer.status_code} {answer.get_data(as_text=True).strip()}")
    print(f"{'anonymous':15} GET  {'/documents/7':20} {client.get('/documents/7').status_code}")


if __name__ == "__main__":
    main()
    guard.close()
