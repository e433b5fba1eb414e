"""LaTeX as sympy writes it, to MathML, which browsers draw by themselves: the site loads no MathJax."""

from __future__ import annotations

import re
from collections import deque
from html import escape, unescape

TOKEN = re.compile(r"\\(?:text|mathrm|operatorname|begin|end)\{[^}]*\}|\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\S")
SYMBOLS = {"partial": "∂", "cdot": "·", "infty": "∞", "to": "→", "log": "log", "exp": "exp", "min": "min", "max": "max"}
SPACES = {r"\quad": 1, r"\qquad": 2, r"\,": 0.2, r"\;": 0.3, r"\ ": 0.3}  # in em


def to_mathml(latex: str) -> str:
    """A formula on a line of its own; a command that is not known stays as it is written."""
    return f'<math display="block">{_row(deque(TOKEN.findall(latex)))}</math>'


def _row(tokens, *ends):
    parts = []
    while tokens and tokens[0] not in ends:
        if tokens[0] in ("_", "^"):
            tag = "msub" if tokens.popleft() == "_" else "msup"
            base = parts.pop() if parts else "<mrow/>"
            parts.append(f"<{tag}>{base}{_atom(tokens)}</{tag}>")
        else:
            parts.append(_atom(tokens))
    return f"<mrow>{''.join(parts)}</mrow>"


def _atom(tokens):
    token = tokens.popleft()
    if token == "{":
        inner = _row(tokens, "}")
        tokens.popleft()
        return inner
    if token == r"\frac":
        return f"<mfrac>{_atom(tokens)}{_atom(tokens)}</mfrac>"
    if token == r"\sqrt":
        return f"<msqrt>{_atom(tokens)}</msqrt>"
    if token == r"\left":
        opening, inner = _fence(tokens), _row(tokens, r"\right")
        tokens.popleft()
        return f"<mrow>{opening}{inner}{_fence(tokens)}</mrow>"
    if token.startswith(r"\begin"):
        return _table(tokens, token.replace("begin", "end"))
    if token in SPACES:
        return f'<mspace width="{SPACES[token]}em"/>'
    if token == r"\displaystyle":
        return ""
    if named := re.fullmatch(r"\\\w+\{(.*)\}", token):
        return f"<mtext>{escape(named[1]).replace(' ', '&nbsp;')}</mtext>"
    if token[0] == "\\":
        name = token[1:]
        text = SYMBOLS.get(name) or unescape(f"&{name};")
        tag = "mtext" if text.startswith("&") else "mi" if text.isalpha() else "mo"
        return f"<{tag}>{escape(token if tag == 'mtext' else text)}</{tag}>"
    if token[0].isalnum():
        return f"<mi>{token}</mi>" if token.isalpha() else f"<mn>{token}</mn>"
    return f"<mo>{escape(token.replace('-', '−'))}</mo>"


def _fence(tokens):
    return f"<mo>{escape(tokens.popleft().strip(chr(92) + '.'))}</mo>"


def _table(tokens, end):
    rows, separator = [[]], None
    while separator != end:
        rows[-1].append(f"<mtd>{_row(tokens, '&', chr(92) * 2, end)}</mtd>")
        separator = tokens.popleft()
        if separator == "\\\\":
            rows.append([])
    return "<mtable>" + "".join(f"<mtr>{''.join(row)}</mtr>" for row in rows) + "</mtable>"
