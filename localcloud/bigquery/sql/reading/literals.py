r"""Rewrites literals of GoogleSQL so that sqlglot and bqemulator read the same values.

Both decode the escapes ``\\``, ``\n`` and similar ones, and the quote of the literal. They do not decode other escapes,
and they change a bytes literal with a backslash each time that they generate SQL. They take ``.5`` and ``5.`` for decimals.
https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences
"""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import syntax_error

_TOKEN = re.compile(
    r"""(?P<passed>--[^\n]*|\#[^\n]*|/\*.*?\*/)
    |`(?P<name>(?:[^`\\]|\\.)*+)`
    |(?P<prefix>[rR]?[bB]?|[bB][rR])(?P<quote>'''|\"\"\"|'|")(?P<text>(?:[^\\'"]++|\\.|(?!(?P=quote))['"])*+)(?P=quote)
    |(?<![\w`)\]'".])\.(?P<fraction>\d++)
    |(?<![\w.])(?P<whole>\d++)\.(?![\w.`])
    |\w+""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:[xX](?P<hex>[0-9A-Fa-f]{2})|(?P<octal>[0-3][0-7]{2})|u(?P<short>[0-9A-Fa-f]{4})|U(?P<long>[0-9A-Fa-f]{8})"
    r"|(?P<plain>.))",
    re.DOTALL,
)
_PLAIN = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    **{character: character for character in "\\?\"'`"},
}
# The characters that need an escape in a rewritten literal, and the escapes that an original literal may keep.
_KEPT = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNDERSTOOD = re.compile(r"(?:[^\\]|\\[\\'nrt])*+", re.DOTALL)
_MAY_CONCERN = re.compile(r"\\|[bB][rR]?['\"]|['\"]['\"]|(?<!\w)\.\d|\d\.(?!\w)")
_LAST_CODE_POINT, _SURROGATES = 0x10FFFF, range(0xD800, 0xE000)


def plain_literals(sql: str) -> str:
    """Return ``sql`` with the same literal values, but only with escapes that sqlglot and bqemulator decode.

    Raises:
        QueryError: An escape sequence is not valid in GoogleSQL, or there is nothing between two literals.
    """
    if _MAY_CONCERN.search(sql) is None:
        return sql
    return _TOKEN.sub(_rewritten, sql)


def _rewritten(match: re.Match[str]) -> str:
    if match["name"] is not None:
        name = _unescaped(match, "name") if "\\" in match["name"] else match["name"]
        return match[0] if "`" in name else f"`{name}`"
    if match["fraction"] is not None or match["whole"] is not None:
        return f"{match['whole'] or 0}.{match['fraction'] or 0}"
    if match["text"] is None:
        return match[0]
    if match.string[match.end() : match.end() + 1] in ("'", '"'):
        what = "concatenated string literals must be separated by whitespace or comments"
        raise syntax_error(match.string, what, match.end())
    prefix, text = match["prefix"].lower(), match["text"]
    if "b" in prefix:
        if "\\" not in text and text.isascii() and "r" not in prefix:
            return match[0]
        value = text.encode() if "r" in prefix else _bytes(match)
        return f"FROM_HEX('{value.hex()}')"
    if prefix or "\\" not in text or (match["quote"] == "'" and _UNDERSTOOD.fullmatch(text)):
        return match[0]
    pieces = [_quoted(piece) for piece in _unescaped(match, "text").split("\0")]
    # DuckDB's parser ends the statement at the character 0.
    return pieces[0] if len(pieces) == 1 else f"CONCAT({', CODE_POINTS_TO_STRING([0]), '.join(pieces)})"


def _quoted(text: str) -> str:
    return "'" + "".join(_KEPT.get(character, character) for character in text) + "'"


def _unescaped(literal: re.Match[str], group: str) -> str:
    def character(escape: re.Match[str]) -> str:
        if escape["plain"] is not None:
            if escape["plain"] not in _PLAIN:
                raise _illegal(literal, group, escape)
            return _PLAIN[escape["plain"]]
        code = (
            int(escape["octal"], 8) if escape["octal"] else int(escape["hex"] or escape["short"] or escape["long"], 16)
        )
        if code > _LAST_CODE_POINT or code in _SURROGATES:
            raise _illegal(literal, group, escape)
        return chr(code)

    return _ESCAPE.sub(character, literal[group])


def _bytes(literal: re.Match[str]) -> bytes:
    """Return the value of a bytes literal. Characters without an escape are in UTF-8."""
    pieces, at = [], 0
    for escape in _ESCAPE.finditer(literal["text"]):
        pieces.append(literal["text"][at : escape.start()].encode())
        at = escape.end()
        if escape["hex"] or escape["octal"]:
            pieces.append(bytes([int(escape["hex"], 16) if escape["hex"] else int(escape["octal"], 8)]))
        elif escape["plain"] in _PLAIN:
            pieces.append(_PLAIN[escape["plain"]].encode())
        else:
            raise _illegal(literal, "text", escape)
    return b"".join([*pieces, literal["text"][at:].encode()])


def _illegal(literal: re.Match[str], group: str, escape: re.Match[str]) -> QueryError:
    return syntax_error(literal.string, f"Illegal escape sequence: {escape[0]}", literal.start(group) + escape.start())
