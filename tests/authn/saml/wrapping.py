"""The eight known forms of signature wrapping: the signed element moves, and a forged one takes its place.

A form gets the root of a valid document and changes it in place. `FORMS` numbers them as the literature does: 1 and 2
forge the Response, the others the Assertion.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from lxml import etree

from tests.authn.saml.identity_provider import SAML, SAMLP, IdentityProvider
from tests.authn.saml.xml_signer import DS

MALLORY = "mallory@example.com"


def forged(element: Any, id: str = "_forged") -> Any:
    """Return an unsigned copy of a Response or Assertion that is about another person, with another id."""
    made = without_signature(element)
    made.set("ID", id)
    for name in made.iter(f"{{{SAML}}}NameID"):
        name.text = MALLORY
    return made


def without_signature(element: Any) -> Any:
    made = copy.deepcopy(element)
    made.tail = None
    for signature in made.findall(f"{{{DS}}}Signature"):
        made.remove(signature)
    return made


def assertion_of(root: Any) -> Any:
    return root.find(f"{{{SAML}}}Assertion")


def signature_of(root: Any) -> Any:
    """Return the assertion's own signature, else the response's."""
    own = assertion_of(root).find(f"{{{DS}}}Signature")
    return own if own is not None else root.find(f"{{{DS}}}Signature")


def first_signature(root: Any) -> Any:
    return next(root.iter(f"{{{DS}}}Signature"))


def forge(element: Any, id: str = "_forged") -> None:
    """Let the element itself be about another person; its signature stays."""
    element.set("ID", id)
    for name in element.iter(f"{{{SAML}}}NameID"):
        name.text = MALLORY


def response_in_its_signature(root: Any) -> None:
    original = without_signature(root)
    forge(root)
    first_signature(root).append(original)


def response_before_its_signature(root: Any) -> None:
    original = without_signature(root)
    forge(root)
    signature = first_signature(root)
    signature.addprevious(original)


def forged_before_assertion(root: Any) -> None:
    assertion = assertion_of(root)
    assertion.addprevious(forged(assertion))


def assertion_in_forged(root: Any) -> None:
    assertion = assertion_of(root)
    made = forged(assertion)
    assertion.addprevious(made)
    made.append(assertion)


def copy_at_the_end(root: Any) -> None:
    assertion = assertion_of(root)
    original = without_signature(assertion)
    forge(assertion)
    root.append(original)


def copy_in_the_signature(root: Any) -> None:
    assertion = assertion_of(root)
    original = without_signature(assertion)
    signature = signature_of(root)
    forge(assertion)
    signature.append(original)


def forged_in_extensions(root: Any) -> None:
    assertion = assertion_of(root)
    extensions = etree.Element(f"{{{SAMLP}}}Extensions")
    extensions.append(forged(assertion))
    root.insert(1, extensions)


def copy_in_an_object(root: Any) -> None:
    assertion = assertion_of(root)
    original = without_signature(assertion)
    signature = signature_of(root)
    forge(assertion)
    etree.SubElement(signature, f"{{{DS}}}Object").append(original)


FORMS: Mapping[int, Callable[[Any], None]] = {
    1: response_in_its_signature,
    2: response_before_its_signature,
    3: forged_before_assertion,
    4: assertion_in_forged,
    5: copy_at_the_end,
    6: copy_in_the_signature,
    7: forged_in_extensions,
    8: copy_in_an_object,
}


def tampered(change: Callable[[Any], object], **changes: object) -> str:
    """Return a valid document whose tree was changed after it was signed."""
    root = etree.fromstring(IdentityProvider().document(**changes).encode())
    change(root)
    return etree.tostring(root, encoding="unicode")
