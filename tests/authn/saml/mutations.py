"""Random changes of valid SAML responses, aware of XML: elements, attributes, names, prefixes, other responses' parts.

A mutant starts from a valid response. Most steps aim at what verifiers get wrong (moved and copied elements, ids,
names, text in pieces), some at what must not matter (white space in tags, references to characters, KeyInfo), so that
some of the mutants are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from lxml import etree

from tests.authn.saml.identity_provider import PASSWORD, RECIPIENT, SAML, SAMLP
from tests.authn.saml.wrapping import FORMS, MALLORY
from tests.authn.saml.xml_signer import (
    DIGESTS,
    DS,
    ENVELOPED,
    EXCLUSIVE,
    INCLUSIVE,
    SIGNATURES,
    XENC,
    XENC11,
    Encryption,
    encrypt,
)

NAMES = (
    *(f"{{{SAML}}}{name}" for name in ("Assertion", "EncryptedAssertion", "Issuer", "Subject", "NameID", "Conditions")),
    *(f"{{{SAML}}}{name}" for name in ("Advice", "Attribute", "AttributeValue", "Audience", "AuthnStatement")),
    *(f"{{{SAMLP}}}{name}" for name in ("Response", "Extensions", "Status", "StatusCode", "Assertion")),
    *(f"{{{DS}}}{name}" for name in ("Signature", "SignedInfo", "Reference", "Object", "KeyInfo", "Transform")),
    *(f"{{{XENC}}}{name}" for name in ("EncryptedData", "EncryptedKey", "CipherData", "CipherValue")),
    "Assertion",
    "{urn:x:x}Assertion",
)
ATTRIBUTES = (
    *("ID", "Id", "id", "iD", "URI", "Algorithm", "Version", "Name", "Value", "Recipient", "InResponseTo", "Format"),
    *("NotBefore", "NotOnOrAfter", "IssueInstant", "Destination", "SessionIndex", "SessionNotOnOrAfter", "PrefixList"),
    *(f"{{{SAMLP}}}ID", f"{{{SAML}}}ID", "{urn:x:x}Id", "{http://www.w3.org/XML/1998/namespace}id"),
)
VALUES = (
    *(
        "",
        " ",
        "x",
        "#",
        MALLORY,
        RECIPIENT,
        PASSWORD,
        "2.0",
        "1.1",
        "_assertion1",
        "#_assertion1",
        "_response1",
        "xs #default",
    ),
    *(
        "2027-01-15T12:00:00Z",
        "2027-01-15T13:00:00Z",
        "2030-01-15T13:00:00Z",
        "2027-01-15T13:00:00",
        "AAAA",
        "\u00e9\u0300",
    ),
    *(ENVELOPED, EXCLUSIVE, EXCLUSIVE + "WithComments", INCLUSIVE, *DIGESTS.values(), *SIGNATURES.values()),
    *(f"{XENC11}aes128-gcm", f"{XENC}aes256-cbc", f"{XENC}rsa-1_5", f"{XENC}rsa-oaep-mgf1p", SAML, SAMLP),
)
TOKENS = (
    *(
        "<!---->",
        "<!-- -->",
        "<?a?>",
        "<![CDATA[x]]>",
        "<![CDATA[]]>",
        "<!DOCTYPE a>",
        "&lt;",
        "&amp;",
        "&#0;",
        "&e;",
        "]]>",
    ),
    *('xmlns="urn:x:x" ', 'xmlns:saml="urn:x:x" ', 'xmlns:ds="urn:x:x" ', 'xmlns:r="1" ', 'xmlns:saml="" ', 'ID="_x" '),
    *(
        ' xml:id="_x" ',
        "<a/>",
        "</a>",
        "<a>",
        "\0",
        "\ufeff",
        "\uffff",
        "\u2028",
        "\u200b",
        "\r",
        "\r\n",
        "\t",
        " ",
        "<",
        ">",
    ),
)
Tree = Callable[[Random, Any, Sequence[str]], Any]
Text = Callable[[Random, str], str]


def _elements(root: Any) -> list[Any]:
    return [element for element in root.iter() if isinstance(element.tag, str)]


def _any(random: Random, root: Any) -> Any:
    """Return an element other than the root, if there is one; one of few names as often as one of many."""
    elements = _elements(root)[1:] or [root]
    if random.random() < 0.5:
        name = random.choice(sorted({element.tag for element in elements}))
        elements = [element for element in elements if element.tag == name]
    return random.choice(elements)


def _copy(element: Any) -> Any:
    made = etree.fromstring(etree.tostring(element, with_tail=False))
    made.tail = None
    return made


def _insert(random: Random, root: Any, made: Any) -> None:
    place = random.choice(_elements(root))
    place.insert(random.randint(0, len(place)), made)


def remove(random: Random, root: Any, donors: Sequence[str]) -> Any:
    element = _any(random, root)
    if element is not root:
        element.getparent().remove(element)
    return root


def duplicate(random: Random, root: Any, donors: Sequence[str]) -> Any:
    element = _any(random, root)
    if element is not root:
        element.addnext(_copy(element))
    return root


def copy_elsewhere(random: Random, root: Any, donors: Sequence[str]) -> Any:
    _insert(random, root, _copy(_any(random, root)))
    return root


def move(random: Random, root: Any, donors: Sequence[str]) -> Any:
    element = _any(random, root)
    if element is not root:
        made = _copy(element)
        element.getparent().remove(element)
        _insert(random, root, made)
    return root


def swap(random: Random, root: Any, donors: Sequence[str]) -> Any:
    parent = random.choice(_elements(root))
    if len(parent) > 1:
        parent.insert(random.randrange(len(parent)), parent[random.randrange(len(parent))])
    return root


def rename(random: Random, root: Any, donors: Sequence[str]) -> Any:
    random.choice(_elements(root)).tag = random.choice(NAMES)
    return root


def wrap(random: Random, root: Any, donors: Sequence[str]) -> Any:
    element = random.choice(_elements(root))
    outer = etree.Element(random.choice(NAMES))
    if element is not root:
        element.getparent().replace(element, outer)
    outer.append(_copy(element))
    return outer if element is root else root


def unwrap(random: Random, root: Any, donors: Sequence[str]) -> Any:
    element = _any(random, root)
    if element is not root:
        for child in list(element):
            element.addprevious(child)
        element.getparent().remove(element)
    return root


def set_attribute(random: Random, root: Any, donors: Sequence[str]) -> Any:
    element = random.choice(_elements(root))
    names = list(element.attrib) if element.attrib and random.random() < 0.7 else ATTRIBUTES
    element.set(random.choice(names), random.choice(VALUES))
    return root


def remove_attribute(random: Random, root: Any, donors: Sequence[str]) -> Any:
    element = random.choice([element for element in _elements(root) if element.attrib] or [root])
    if element.attrib:
        del element.attrib[random.choice(list(element.attrib))]
    return root


def rename_attribute(random: Random, root: Any, donors: Sequence[str]) -> Any:
    element = random.choice([element for element in _elements(root) if element.attrib] or [root])
    if element.attrib:
        element.set(random.choice(ATTRIBUTES), element.attrib.pop(random.choice(list(element.attrib))))
    return root


def copy_attribute(random: Random, root: Any, donors: Sequence[str]) -> Any:
    """Copy an attribute, like an ID, to another element."""
    source, target = random.choice(_elements(root)), random.choice(_elements(root))
    if source.attrib:
        name = random.choice(list(source.attrib))
        target.set(name if random.random() < 0.5 else random.choice(ATTRIBUTES), source.get(name))
    return root


def set_text(random: Random, root: Any, donors: Sequence[str]) -> Any:
    element = random.choice([element for element in _elements(root) if (element.text or "").strip()] or [root])
    text = element.text or ""
    place = random.randint(0, len(text))
    token = random.choice(VALUES)
    element.text = random.choice((token, text[:place] + token + text[place:], text[:place], text[place:], text + " "))
    return root


def split_text(random: Random, root: Any, donors: Sequence[str]) -> Any:
    """Put a comment, an instruction or an element into a text."""
    element = random.choice([element for element in _elements(root) if (element.text or "").strip()] or [root])
    made = random.choice((etree.Comment("x"), etree.ProcessingInstruction("a"), etree.Element("{urn:x:x}b")))
    text = element.text or ""
    place = random.randint(0, len(text))
    element.text, made.tail = text[:place], text[place:]
    element.insert(0, made)
    return root


def splice(random: Random, root: Any, donors: Sequence[str]) -> Any:
    """Put an element of another response in the place of one of that name, or beside it."""
    donor = etree.fromstring(random.choice(donors).encode())
    element = _any(random, root)
    found = donor.findall(f".//{element.tag}")
    if not found or element is root:
        _insert(random, root, _copy(_any(random, donor)))
    elif random.random() < 0.6:
        element.getparent().replace(element, _copy(random.choice(found)))
    else:
        element.addnext(_copy(random.choice(found)))
    return root


def wrap_signature(random: Random, root: Any, donors: Sequence[str]) -> Any:
    if root.find(f"{{{SAML}}}Assertion") is not None and root.find(f".//{{{DS}}}Signature") is not None:
        form = random.choice([form for number, form in FORMS.items() if number not in (6, 8)])
        form(root)
    return root


def encrypt_assertion(random: Random, root: Any, donors: Sequence[str]) -> Any:
    """Encrypt the assertion, which takes the receiver's public key only."""
    element = root.find(f"{{{SAML}}}Assertion")
    if element is not None:
        cipher = random.choice(("aes128-gcm", "aes256-cbc"))
        made = encrypt(etree.tostring(element, encoding="unicode", with_tail=False), Encryption(cipher=cipher))
        shown = f'<a:EncryptedAssertion xmlns:a="{SAML}">{made}</a:EncryptedAssertion>'
        root.replace(element, etree.fromstring(shown))
    return root


def flip(random: Random, text: str) -> str:
    place = random.randrange(len(text))
    return text[:place] + chr(random.randint(0, 0x24F)) + text[place + 1 :]


def cut(random: Random, text: str) -> str:
    start = random.randrange(len(text))
    return text[:start] + text[start + random.randint(1, 40) :]


def repeat(random: Random, text: str) -> str:
    start = random.randrange(len(text))
    part = text[start : start + random.randint(1, 400)]
    place = random.choice((start, random.randrange(len(text))))
    return text[:place] + part + text[place:]


def insert_token(random: Random, text: str) -> str:
    places = [
        found.start() for found in re.finditer(random.choice((r"(?<=>)", r"(?=<)", r"(?<=[a-z]) ", r"(?<=\w)")), text)
    ]
    place = random.choice(places or [0])
    return text[:place] + random.choice(TOKENS) + text[place:]


def rebind_prefix(random: Random, text: str) -> str:
    """Let a prefix that is declared mean another namespace, in one place."""
    found = random.choice(list(re.finditer(r'xmlns(?::\w+)?="([^"]*)"', text)) or [None])
    return text if not found else text[: found.start(1)] + random.choice(VALUES) + text[found.end(1) :]


def rename_prefix(random: Random, text: str) -> str:
    prefix = random.choice(re.findall(r"xmlns:(\w+)=", text) or ["saml"])
    return re.sub(rf"(?<=[</ :]){prefix}(?=[:=])", "zz", text)


# --- what must not matter outside of the signed bytes, or anywhere


def space_in_tags(random: Random, text: str) -> str:
    places = [found.start() for found in re.finditer(r"(?<=[\w\"])(?=/?>)|(?<=\") (?=\w+=)", text)]
    place = random.choice(places or [0])
    return text[:place] + random.choice((" ", "\n", "\t ")) + text[place:]


def reference_to_character(random: Random, text: str) -> str:
    places = [found.start() for found in re.finditer(r"(?<=[>\w@])[A-Za-z0-9](?=[^<>=\"]*<)", text)]
    place = random.choice(places or [0])
    return text[:place] + f"&#x{ord(text[place]):x};" + text[place + 1 :]


def other_quotes(random: Random, text: str) -> str:
    found = random.choice(list(re.finditer(r"(?<==)\"([^\"'<]*)\"", text)) or [None])
    return text if not found else f"{text[: found.start()]}'{found[1]}'{text[found.end() :]}"


def declaration(random: Random, text: str) -> str:
    return '<?xml version="1.0" encoding="utf-8"?>' + re.sub(r"^<\?xml.*?\?>", "", text)


def unused_namespace(random: Random, text: str) -> str:
    return text.replace(
        ":Response ", f':Response xmlns:unused{random.randint(0, 9)}="urn:x:{random.randint(0, 9)}" ', 1
    )


def without_key_info(random: Random, text: str) -> str:
    return re.sub(r"<(\w*:?)KeyInfo.*?</\1KeyInfo>", "", text, count=random.randint(1, 2), flags=re.DOTALL)


def without_destination(random: Random, text: str) -> str:
    return re.sub(r' Destination="[^"]*"', "", text, count=1)


def lines_in_base64(random: Random, text: str) -> str:
    return re.sub(r"(?<=[A-Za-z0-9+/]{76})(?=[A-Za-z0-9+/]{40})", "\n", text, count=random.randint(1, 9))


def in_another_order(random: Random, text: str) -> str:
    return re.sub(r' (\w+="[^"]*") (\w+="[^"]*")', r" \2 \1", text, count=random.randint(1, 30))


TREES: tuple[Tree, ...] = (
    *(remove, duplicate, copy_elsewhere, move, swap, rename, wrap, unwrap, splice, splice, splice, wrap_signature),
    *(set_attribute, remove_attribute, rename_attribute, copy_attribute, set_text, split_text, encrypt_assertion),
)
TEXTS: tuple[Text, ...] = (flip, cut, repeat, insert_token, insert_token, rebind_prefix, rename_prefix)
HARMLESS: tuple[Text, ...] = (
    *(space_in_tags, reference_to_character, other_quotes, declaration, unused_namespace, without_key_info),
    *(without_destination, lines_in_base64, in_another_order),
)


def mutant(random: Random, text: str, donors: Sequence[str]) -> str:
    """Return a changed response; `donors` are others, of which parts are taken."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        kind = random.random()
        if kind < 0.55:
            text = _changed_tree(random, text, donors)
        elif kind < 0.75:
            text = random.choice(TEXTS)(random, text)
        else:
            text = random.choice(HARMLESS)(random, text)
        if not text:
            break
    return text


def _changed_tree(random: Random, text: str, donors: Sequence[str]) -> str:
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), etree.XMLParser(resolve_entities=False))
        changed = random.choice(TREES)(random, root, donors)
        return etree.tostring(changed, encoding="unicode")
    except (etree.XMLSyntaxError, ValueError):  # an earlier step broke it, or this step is not possible
        return text
