"""pycasbin: a policy line per rule, and one matcher over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import casbin

from benchmarks.peers.peer import Ask, Peer
from benchmarks.world import CLASS, NETWORK, Question, Rule, few, folder

MODEL = """
[request_definition]
r = act, res, cls, ip

[policy_definition]
p = act, res, cls, net, eft

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = r.act == p.act && keyMatch(r.res, p.res) && (p.cls == "*" || r.cls == p.cls) && \
(p.net == "*" || ipMatch(r.ip, p.net))
"""


def load(rules: Sequence[Rule]) -> Ask:
    """Fill the model's policies; nothing is read from or written to a file."""
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
    enforcer.add_policies([_line(rule) for rule in rules])

    def ask(question: Question) -> bool:
        return bool(enforcer.enforce(question.action, question.resource, question.document_class, question.address))

    return ask


def _line(rule: Rule) -> list[str]:
    conditions = [CLASS, NETWORK] if rule.conditions else ["*", "*"]
    return [rule.action, f"{rule.folder}*", *conditions, "allow" if rule.allows else "deny"]


def asking() -> Callable[[str], bool]:
    """Return a function that asks about the path of a request, with our 75 rules."""
    ask = load(few())

    def ask_path(path: str) -> bool:
        _, _, number, name = path.split("/")
        return ask(Question(f"docs:Get{number}", f"{folder(int(number))}{name}", allowed=True))

    return ask_path


class Middleware:
    """An ASGI middleware that passes allowed requests on, without authentication."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._ask = asking()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not self._ask(scope["path"]):
            raise SystemExit("expected the request to be allowed")
        await self.app(scope, receive, send)


PEER = Peer("pycasbin", load)
