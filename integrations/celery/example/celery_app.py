"""A guarded Celery application. `python celery_app.py` sends some tasks to a worker in a thread.

With a broker instead of `memory://`, `celery -A celery_app worker` runs a worker.
"""

from __future__ import annotations

from pathlib import Path

from celery import Celery, chain
from celery.contrib.testing.worker import start_worker
from iam_guard_celery import guard_tasks

from iam_guard import IamGuardError, Principal, Service, current_principal, open_guard
from iam_guard.adapters import Call, CurrentCall, serving

docs = Service("docs")
guard = open_guard(Path(__file__).with_name("iam.yaml"), services=[docs])
app = Celery("documents", broker="memory://", backend="cache+memory://")
guard_tasks(app, guard)


@app.task(throws=(IamGuardError,))
@docs.requires("GetDocument", resource="document/{document_id}")
def get_document(document_id: int) -> str:
    """Return a document."""
    return f"document {document_id}, read by {current_principal().name}"


@app.task(throws=(IamGuardError,))
@docs.requires("PutDocument", resource="document/{document_id}")
def put_document(text: str, document_id: int) -> str:
    """Write a document."""
    return f"document {document_id}, written by {current_principal().name}: {text}"


def main() -> None:
    """Print what the tasks of some callers return."""
    with start_worker(app, perform_ping_check=False, loglevel="CRITICAL"):
        for name in ("ada", "rita"):
            principal = Principal.from_arn(f"arn:aws:iam::111122223333:user/{name}")
            with serving(CurrentCall(guard, principal, Call(f"request-of-{name}"))):  # as the middleware does
                result = chain(get_document.s(7), put_document.s(8))()
            for task in (result.parent, result):
                print(f"{name:5} {task.get(timeout=60, propagate=False)}")
        print(f"none  {get_document.delay(7).get(timeout=60, propagate=False)}")


if __name__ == "__main__":
    main()
    guard.close()
