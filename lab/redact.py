"""The one redactor: takes secrets out of text before it is written where others may read it.

Logs, journals and gathered archives pass through it. It knows secrets by their shape (keys, tokens),
by what they are called (``password: ...``) and, in a :class:`Redactor` that was given them, by their
very value. Where it must guess, it takes too much rather than too little. Doing it twice is the same
as doing it once, and what was JSON or YAML remains so.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

MARK: Final = "REDACTED"
"""What stands where a secret stood: a plain scalar in YAML, a string in JSON, legal in a URL."""

_SHORTEST_KNOWN: Final = 6
"""Characters below which a known value is left to the other rules: it would be found inside words."""

_LONGEST_KNOWN: Final = 4096
"""The same at the other end: what is longer is a document, and is known by what is in it."""

_ROUNDS: Final = 6
"""More than any text of some sense needs; a limit all the same."""

_NAMES = (
    r"(?i:pass(?:word|wd|phrase|code)|secret|token|credential|dockerconfigjson|dockercfg|cookie"
    r"|(?:api|access|secret|private|signing|encryption|certificate|unseal)[-_. ]?key"
    r"|client[-_]key[-_]data|(?:ca|tls|server|client)\.key)s?"
)
"""How the names of secret things end: DB_PASSWORD, accessToken, client-key-data, unseal keys."""

_HINTS = ("pass", "secret", "token", "credential", "dockerc", "cookie", "key", "auth", "bearer", "://")
"""A line without any of these (in lower case) has no secret that is known by its name: most lines."""

_QUOTED = (
    r'"(?:[^"\\]|\\.)*+"'
    r"|'(?:[^'\\\n]|\\.|'')*+'"
    # In JSON that is itself a string in JSON, as kubectl's last-applied annotation; and deeper.
    r'|\\"(?:[^"\\\n]|\\\\\\"|\\(?!"))*+\\"'
    r'|(?P<deep>\\{2,}")(?:(?!(?P=deep)).)*+(?P=deep)'
    # Never closed: cut off.
    r"""|\\*["'].*"""
)
_WORD = r"""[^\s"'&]*[^\s"'&,;)\]}]"""
_HARMLESS = r"(?i:true|false|null|nil|none|<nil>|<none>|~)(?![\w.-])"

_SHAPES = (
    (
        "PRIVATE KEY",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----"
            # One that was cut off has no end: as much as the longest key goes with it.
            r"(?:[^-]|-(?!----)){0,16384}+"
            r"(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----)?"
        ),
    ),
    ("eyJ", re.compile(r"eyJ[\w-]{6,}\.[\w-]*\.[\w.-]+")),  # JSON web tokens
    # kubeadm's join tokens; what is before the dot is the token's public name.
    (".", re.compile(r"(?P<head>\.)(?<=(?<![\w.-])[a-z0-9]{6}\.)[a-z0-9]{16}(?![\w.-])")),
    ("hv", re.compile(r"\bhv[sbr]\.[\w-]{20,}")),  # Vault's tokens
    ("gh", re.compile(r"\bgh[pousr]_\w{30,}")),
    ("github_pat_", re.compile(r"\bgithub_pat_\w{30,}")),
    ("glpat-", re.compile(r"\bglpat-[\w-]{20,}")),
    ("xox", re.compile(r"\bxox[abprs]-[\w-]{10,}")),
    ("$2", re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")),  # bcrypt
)
"""Secrets that can be told by their shape: what is certainly in them, and what they look like."""

_PEM_IN_BASE64 = re.compile(r"LS0tLS1CRUdJTi[\w+/=-]+")
_URL = re.compile(r"""(?<=://)([^\s/@:"']*:)[^\s/"']+(?=@)|(?<=://)[^\s/@:"']{20,}(?=@)""")
_HEADER = re.compile(
    r"""(?P<head>(?i:authorization)\\*["']?\s*[:=]\s*\\*["'\[]*(?i:(?:bearer|basic|token)\s+)?)"""
    r"""(?P<word>[^\s"'\\\],]+)"""
    r"""|(?P<scheme>\b(?i:bearer)\s+)(?=\S*\d|\S{20})[\w.~+/=-]{6,}"""
)
_NAMED = re.compile(
    rf"""(?P<head>(?P<name>{_NAMES}|(?<=["'])auth(?=\\*["']))"""
    r"""(?:(?P<quote>\\*["'])\s*[:=]\s*(?![\[{])|[ \t]*=(?!=)[ \t]*|:[ \t]*(?![\[{])))"""
    rf"(?!{_HARMLESS})(?P<value>{_QUOTED}|{_WORD})"
)
_YAML_BLOCK = re.compile(
    rf"^(?P<head>(?P<indent>[ \t]*)(?:- )?[\w./-]*{_NAMES}[ \t]*:[ \t]+)[|>][-+0-9]*[ \t]*\n"
    r"(?:(?:(?P=indent)[ \t]+.*|[ \t]*)(?:\n|\Z))+?(?=^(?!(?P=indent)[ \t])|\Z)",
    re.MULTILINE,
)
_YAML_LINE = re.compile(
    rf"^(?P<head>[ \t]*(?:- )?[\w./-]*{_NAMES}[ \t]*:[ \t]+)(?!{_HARMLESS}|[\[{{]|[|>][-+0-9]*[ \t]*$)"
    r"""(?P<value>"(?:[^"\\]|\\.)*+"|'(?:[^']|'')*+'|\S(?:.*\S)?)""",
    re.MULTILINE,
)
_FLAG = re.compile(
    rf"""(?P<head>--[\w-]*{_NAMES}(?:["']?,\s*|["']?\s+)(?:-[ ]+)?)(?!["']?-)(?P<value>["']?[^\s"']+["']?)"""
)
_PAIR = re.compile(
    rf"""(?P<head>\bname\\*["']?\s*:\s*\\*["']?[\w.-]*{_NAMES}\\*["']?,?\s*\\*["']?value\\*["']?\s*:[ \t]*)"""
    rf"(?P<value>{_QUOTED}|\S.*)"
)
_SECRET_IN_YAML = re.compile(r"""^[ \t-]*kind:[ \t]*["']?Secret["']?[ \t]*$""", re.MULTILINE)
_SECRET_IN_JSON = re.compile(r'\bkind\\*"\s*:\s*\\*"Secret\\*"')
_JSON_DATA = re.compile(
    r'(?P<head>(?P<quote>\\*")(?:data|stringData)(?P=quote)\s*:\s*)\{(?P<body>(?:[^{}]|\{[^{}]*\})*)\}'
)
_YAML_DATA = re.compile(r"^(?P<indent>[ \t]*(?:- )?)(?:data|stringData):[ \t]*$")
_SECRET_NAME = re.compile(rf"{_NAMES}$")
_SECRET_FLAG = re.compile(rf"--[\w-]*{_NAMES}$")


class Redactor:
    """Removes secrets; ``known`` are values that are secret wherever they stand."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        forms = set()
        for value in known:
            if len(value) >= _SHORTEST_KNOWN and value not in MARK:
                encoded = base64.b64encode(value.encode()).decode()
                forms |= {value, encoded, quote(value, safe=""), json.dumps(value)[1:-1]}
        # Longest first: one may be the beginning of another.
        self._known = sorted(forms, key=len, reverse=True)

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        # What stands around a secret may be one itself once that is gone; two rounds, as a rule.
        for _ in range(_ROUNDS):
            redacted = self._once(text)
            if redacted == text:
                break
            text = redacted
        return text

    def _once(self, text: str) -> str:
        for value in self._known:
            text = text.replace(value, MARK)
        for hint, shape in _SHAPES:
            if hint in text:
                text = shape.sub(lambda match: f"{match.groupdict().get('head', '')}{MARK}", text)
        if "LS0tLS1CRUdJTi" in text:
            text = _PEM_IN_BASE64.sub(_unless_public, text)
        text = _secrets(text)
        text = _YAML_BLOCK.sub(rf"\g<head>{MARK}\n", text)
        for pattern in (_PAIR, _FLAG, _YAML_LINE):
            text = pattern.sub(_replaced, text)
        return "".join(_line(line) for line in text.splitlines(keepends=True))

    def tree(self, value: Any) -> Any:
        """``value`` (what JSON can hold) without secrets; Kubernetes Secrets keep their keys only."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple):
            items = [self.tree(item) for item in value]
            for index, item in enumerate(value[:-1]):
                if isinstance(item, str) and isinstance(value[index + 1], str) and _SECRET_FLAG.match(item):
                    items[index + 1] = MARK
            return items
        return value

    def _mapping(self, value: Mapping[Any, Any]) -> dict[Any, Any]:
        redacted = {key: self._entry(key, item) for key, item in value.items()}
        if value.get("kind") == "Secret":
            for field in ("data", "stringData"):
                if isinstance(value.get(field), Mapping):
                    redacted[field] = dict.fromkeys(value[field], MARK)
        name = value.get("name")
        if isinstance(name, str) and _SECRET_NAME.search(name) and isinstance(value.get("value"), str):
            redacted["value"] = MARK
        return redacted

    def _entry(self, key: object, value: Any) -> Any:
        if isinstance(key, str) and isinstance(value, str) and value and _SECRET_NAME.search(key):
            return MARK
        return self.tree(value)


_PLAIN = Redactor()


def text(value: str) -> str:
    """``value`` without secrets, as far as they can be told by shape and name."""
    return _PLAIN.text(value)


def tree(value: Any) -> Any:
    """``value`` (what JSON can hold) without secrets; see :meth:`Redactor.tree`."""
    return _PLAIN.tree(value)


def is_secret(name: str, value: str) -> bool:
    """Whether ``value`` is worth looking for everywhere, given what it is called where it is kept.

    It must be called like a secret and be no plain word (which would be found in other things' names),
    or look random: certificates and configuration, which Secrets hold too, do not.
    """
    if len(value) > _LONGEST_KNOWN:
        return False
    if _SECRET_NAME.search(name):
        return len(value) >= 12 or not (value.isalpha() and value.islower())
    kinds = (str.isupper, str.islower, str.isdigit)
    return len(value) >= 16 and not re.search(r"\s", value) and all(any(map(kind, value)) for kind in kinds)


class Formatter(logging.Formatter):
    """Formats log records without secrets, their tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return text(super().format(record))


def _unless_public(match: re.Match[str]) -> str:
    """PEM in base64: a private key goes, a certificate stays."""
    head = match[0][:80]
    try:
        start = base64.b64decode(head[: len(head) // 4 * 4], altchars=b"-_" if "-" in head else None)
    except (binascii.Error, ValueError):
        return MARK
    return MARK if b"PRIVATE" in start else match[0]


def _line(line: str) -> str:
    lower = line.lower()
    if not any(hint in lower for hint in _HINTS):
        return line
    if "://" in line:
        line = _URL.sub(lambda match: f"{match[1] or ''}{MARK}", line)
    line = _HEADER.sub(lambda match: f"{match['head'] or match['scheme']}{MARK}", line)
    return _NAMED.sub(_unless_prose, line)


def _unless_prose(match: re.Match[str]) -> str:
    """After a colon and a space, one plain word may be prose, as in "no token: connection refused"."""
    is_prose = (
        match["head"].endswith((" ", "\t"))
        and not (match["quote"] or "=" in match["head"] or match["name"].lower().startswith("pass"))
        and match["value"].rstrip(".:").isalpha()
    )
    return match[0] if is_prose else _replaced(match)


def _replaced(match: re.Match[str]) -> str:
    """The mark in the quotes that the value had, so that JSON remains JSON."""
    opening = re.match(r"""\\*["']""", match["value"])
    # A number has no quotes, and the mark needs some where its name had them.
    quotes = opening[0] if opening else (match.groupdict().get("quote") or "")
    return f"{match['head']}{quotes}{MARK}{quotes}"


def _secrets(text: str) -> str:
    """Kubernetes Secrets that stand in ``text`` as YAML or JSON keep the names of their data only."""
    if _SECRET_IN_JSON.search(text):
        text = _JSON_DATA.sub(_names_only, text)
    if _SECRET_IN_YAML.search(text):
        documents = re.split(r"^(---.*\n)", text, flags=re.MULTILINE)
        text = "".join(_yaml_secret(each) if _SECRET_IN_YAML.search(each) else each for each in documents)
    return text


def _names_only(match: re.Match[str]) -> str:
    quoted = match["quote"]
    names = re.findall(rf'{re.escape(quoted)}([^"\\]+){re.escape(quoted)}\s*:', match["body"])
    pairs = (f"{quoted}{name}{quoted}:{quoted}{MARK}{quoted}" for name in names)
    return f"{match['head']}{{{','.join(pairs)}}}"


def _yaml_secret(document: str) -> str:
    """One YAML document with a Secret in it: values below ``data`` go, whatever they look like."""
    kept = []
    column: int | None = None
    names: int | None = None
    for line in document.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip(" \t"))
        if column is not None and (indent > column or not line.strip()):
            names = indent if names is None else names
            name, colon, _ = line.partition(":")
            # What is deeper than the names continues a value.
            if indent == names and colon:
                kept.append(f"{name}: {MARK}\n")
            continue
        column = names = None
        if opening := _YAML_DATA.match(line):
            column = len(opening["indent"])
        kept.append(line)
    return "".join(kept)
