"""Formulas as browsers draw them by themselves: LaTeX to MathML, indices and powers in text to sub and sup.

The site loads no MathJax. Pages and docstrings write λₖ₊₁ where Unicode has the letters, otherwise n_d and D^(−1/2): so
they read in a terminal and in a file as they stand.
"""

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


# A letter, perhaps with accent and prime, an operator's name, a parenthesis; not within a word such as a file's name.
NAMES = "min|max|sup|mean|own|loss|accuracy"
BASE = rf"(?:(?<![A-Za-z0-9_])(?:{NAMES}|[A-Za-zÀ-ɏ])|(?<!\\)[Α-ωϑφ√Σ∂‖]|(?<=\w)\))[\u0300-\u036f]?[′*²³]?"
WITHIN = r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
BARE = r"w\.[do]\.|[A-Za-z0-9]+′?(?![A-Za-z0-9_]|\.\w)|[Α-ωφϑℓ]"
INDEX = re.compile(rf"({BASE})_(?:\{{([^{{}}]*)\}}|({WITHIN})|({BARE}))")
POWER = re.compile(rf"(?<=[\w)\]′‖>])\^(?:\{{([^{{}}]*)\}}|({WITHIN})|([A-Za-z0-9½]+))")
NAMED = r'<span class="doc doc-object-name[^>]*>[^<]*</span>'  # of the API
SKIPPED = re.compile(rf"({NAMED}|<(code|pre|script|style|math|svg|title)\b.*?</\2>|<[^>]*>)", re.S)


LOW = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "0123456789+−aehijklmnoprstuvx")
SMALL = re.compile(f"[{''.join(map(chr, LOW))}]+")  # letters that few fonts draw well


def with_scripts(html: str) -> str:
    """A page with the indices and powers of its text, not of its code, as sub and sup."""
    parts = SKIPPED.split(html)  # text, what is skipped, its tag; and so on
    return "".join(part if at % 3 else _scripts(part) for at, part in enumerate(parts) if at % 3 != 2)


def _scripts(text: str) -> str:
    text = INDEX.sub(lambda found: f"{found[1]}<sub>{_scripts(_inner(found.groups()[1:]))}</sub>", text)
    text = SMALL.sub(lambda found: f"<sub>{found[0].translate(LOW)}</sub>", text)
    return POWER.sub(lambda found: f"<sup>{_scripts(_inner(found.groups()))}</sup>", text)


def _inner(found):
    """What was written in braces, in parentheses, which are not shown, or bare."""
    braces, parentheses, bare = found
    return braces or (parentheses and parentheses[1:-1]) or bare


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
