"""`iam-guard serve`: the AWS-compatible API over HTTP, on its own store or an application's.

Prints one line with the address once it listens; then loads what the first requests need, before they arrive.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from iam_guard.api.authzen.app import beside_authzen
from iam_guard.api.protocol.app import aws_api
from iam_guard.api.protocol.dispatch import destination_of
from iam_guard.api.protocol.reset import ResettableApi
from iam_guard.cli.kit.change_recording import change_recorder_of, seed_applied
from iam_guard.cli.kit.commands import ACCOUNT_ID, STORE
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.errors import ConfigurationError
from iam_guard.factory import guard_with_store
from iam_guard.guard.guard import Guard
from iam_guard.imports import requires_extra
from iam_guard.model.own_services import SERVED
from iam_guard.model.result import CallResult
from iam_guard.settings import Settings, load_settings
from iam_guard.store.accounts.first_account import FirstAccount, check_first_account, create_first_account
from iam_guard.store.location import is_in_memory, is_seed_file, store_file
from iam_guard.store.opening import create_store, open_store
from iam_guard.store.snapshot import Snapshot
from iam_guard.store.sql_store import SqlStore
from iam_guard.web.service import Service

with requires_extra("server", "`iam-guard serve`"):
    import uvicorn

BACKLOG = 2048
SHUTDOWN_SECONDS = 5
"""Seconds for which a signal waits for requests in progress: one whose body does not arrive is cut off."""
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.command()
@STORE
@click.option(
    "--seed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Apply this seed file to the store first.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address.")
@click.option(
    "--port",
    default=8750,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Listen on this port; 0 selects a free one.",
)
@click.option(
    "--root-access-key",
    envvar="IAM_GUARD_ROOT_ACCESS_KEY",
    metavar="ID:SECRET",
    help="Create the first account, if the store is empty, with this access key of its root user.",
)
@click.option(
    "--account", type=ACCOUNT_ID, default="123456789012", show_default=True, help="Set the id of the first account."
)
@click.option("--root-email", metavar="ADDRESS", help="Set the e-mail address of the first account's root user.")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="PREFIX",
    help="Allow API keys for this service of your application (`docs`); repeat for more.",
)
@click.option(
    "--saml-recipient",
    "saml_recipients",
    multiple=True,
    metavar="URL",
    help="Accept SAML assertions for this `Recipient` (AssumeRoleWithSAML); repeat for more.",
)
@click.option("--console", "has_pages", is_flag=True, help="Serve the pages for signing in at `/signin`, too.")
@click.option("--authzen", "has_authzen", is_flag=True, help="Serve AuthZEN at `/access/v1`, too.")
@click.option(
    "--allow-reset", is_flag=True, help="Allow `POST /-/reset` to restore the initial state (only for `sqlite://`)."
)
def command(
    store: str,
    seed: Path | None,
    host: str,
    port: int,
    root_access_key: str | None,
    account: str,
    root_email: str | None,
    services: tuple[str, ...],
    saml_recipients: tuple[str, ...],
    has_pages: bool,
    has_authzen: bool,
    allow_reset: bool,
) -> None:
    """Serve the AWS-compatible API, IAM, STS, IAM Access Analyzer and AWS Sign-In, on one endpoint.

    Creates a missing store if it gets a seed or an account.
    """
    first = _first_account(root_access_key, account, root_email)
    declared = [Service(prefix) for prefix in services]
    if allow_reset and (is_seed_file(store) or not is_in_memory(store)):
        raise ConfigurationError("expected an in-memory store (`sqlite://`) with --allow-reset", place="store")
    if is_seed_file(store) and (seed is not None or first is not None):
        raise ConfigurationError("a store that follows a seed file can only be changed through the file", place="store")
    with _bound(host, port) as listener:
        settings = _with_issuer(
            load_settings({"saml_recipients": saml_recipients} if saml_recipients else None), listener
        )
        is_filled = seed is not None or first is not None
        opened = create_store(store, settings) if is_filled else open_store(store, settings)
        guard = guard_with_store(opened, settings, services=declared, database=store_file(store))
        api, snapshot = aws_api(guard), None
        try:
            if isinstance(opened, SqlStore):
                for result in _fill(opened, seed, first, partition=settings.partition):
                    change_recorder_of(guard.trail).record(result)
                snapshot = Snapshot(opened.engine) if allow_reset else None
            app: Any = api if snapshot is None else ResettableApi(api, snapshot.restore)
            app = beside_authzen(guard, app, _authzen_url(settings, listener)) if has_authzen else app
            _listen(_with_pages(guard, app) if has_pages else app, listener, has_pages=has_pages)
        finally:
            if snapshot is not None:
                snapshot.close()
            guard.close()


@relaxed_gc()
def _fill(opened: SqlStore, seed: Path | None, first: FirstAccount | None, *, partition: str) -> list[CallResult]:
    """Apply the seed and create the first account; return the changes for the audit trail."""
    done: list[CallResult] = []
    if seed is not None:
        from_file = import_module("iam_guard.store.seed")
        loaded = from_file.load_seed(seed, partition=partition, quotas=opened.quotas)
        if changes := from_file.apply_seed(opened, loaded):
            done.append(seed_applied(changes, seed))
    if first is not None and create_first_account(opened, first):
        parameters = {"accountId": first.id, "rootAccessKeyId": first.key_id}
        parameters |= {} if first.email is None else {"email": first.email}
        done.append(CallResult(action="iam-guard:CreateAccount", owner=first.id, parameters=parameters))
    elif first is not None and opened.access_key(first.key_id) is None:
        click.echo("iam-guard: --root-access-key has no effect: the store has accounts; use one of its keys", err=True)
    return done


def _first_account(key: str | None, id: str, email: str | None) -> FirstAccount | None:
    """Return the first account. Raises `ConfigurationError` for an invalid form."""
    if key is None:
        if email is not None:
            raise ConfigurationError("expected --root-access-key, too, with --root-email", place="--root-email")
        return None
    key_id, colon, secret = key.partition(":")
    if not colon or not secret:
        raise ConfigurationError("expected ID:SECRET", place="--root-access-key")
    account = FirstAccount(id, key_id, secret, email)
    check_first_account(account)
    return account


def _bound(host: str, port: int) -> socket.socket:
    """Bind the address; `_listen` listens later, when the app is ready."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio leaves Nagle's delay on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}", place="--port") from None
    return listener


def _with_issuer(settings: Settings, listener: socket.socket) -> Settings:
    """Use the local address as the issuer of identity tokens for trials on one machine; else it must be configured."""
    if settings.issuer_url or not _is_local(listener):
        return settings
    return replace(settings, issuer_url=_address_of(listener))


def _authzen_url(settings: Settings, listener: socket.socket) -> str:
    """Return the identifier of the decision point; empty, and so without metadata, unless it is known."""
    return settings.site_url or (_address_of(listener) if _is_local(listener) else "")


def _is_local(listener: socket.socket) -> bool:
    return listener.getsockname()[0] in ("127.0.0.1", "::1")


def _address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _with_pages(guard: Guard, app: Any) -> Any:
    return import_module("iam_guard.console.sign_in_app").beside_api(guard, app)


def _listen(app: Any, listener: socket.socket, *, has_pages: bool) -> None:
    """Serve until a signal stops the process; warnings and errors are logged to standard error."""
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    logging.getLogger("uvicorn.error").addFilter(_is_no_cut_request)
    listener.listen(BACKLOG)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)  # uvicorn raises the signal again after shutdown; then open resources are closed
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,  # trusted proxies are a setting of the guard
    )
    _AnnouncingServer(config, has_pages=has_pages).run(sockets=[listener])


def _is_no_cut_request(record: logging.LogRecord) -> bool:
    """Return False for the traceback of a request that the shutdown cuts off: uvicorn logs their number, too."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _stop(number: int, frame: object) -> None:
    raise SystemExit(0)


class _AnnouncingServer(uvicorn.Server):
    """A server that prints its address once it listens, and that of the pages, which needs to be of localhost."""

    def __init__(self, config: uvicorn.Config, *, has_pages: bool) -> None:
        super().__init__(config)
        self._has_pages = has_pages

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            click.echo(f"iam-guard serves at {_address_of(listener)}")
            if self._has_pages:
                click.echo(f"sign in at http://localhost:{listener.getsockname()[1]}/signin")
        threading.Thread(target=_warm_up, name="iam-guard-warm-up", daemon=True).start()


def _warm_up() -> None:
    """Load every service, so that no request waits for it."""
    for name in SERVED:
        destination_of(name)
