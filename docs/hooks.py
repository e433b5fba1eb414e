"""What the site shows from outside ``docs/``: files that pages link to, notebooks, the explorer, the packages' API."""

from __future__ import annotations

import ast
import json
import posixpath
import re
from html import unescape
from itertools import groupby
from pathlib import Path

from griffe import (
    DocstringParameter,
    DocstringSectionKind,
    Extension,
    Function,
    Parameter,
    ParameterKind,
    Parameters,
)
from mathml import to_mathml, with_scripts
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, InclusionLevel

from theory.explore import page

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PACKAGES = ("theory", "empirical")
LATEX_OUTPUT = re.compile(r'(data-mime-type="text/latex"[^>]*>)\s*\$+(.*?)\$+\s*(?=</div>)', re.S)
MATH = re.compile(r"^```math\n(.*?)^```$", re.S | re.M)
FOUND = {"glossary.md": 20, "api": 0.2}  # how far up in the search; other pages 1
CODE = re.compile(r"(<pre\b.*?</pre>)|<code>([^<]*)</code>", re.S)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
LONG = re.compile(r"\S{24,}")  # one word, such as a test's name
PARTS = re.compile(r"(?<=[/_])(?=\w)|(?=::)")
OUTSIDE_LINK = re.compile(r"\]\(([^)#\s]*\.\./[^)#\s]+)")


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files, config):
    outside = {target for page in files.documentation_pages() for target in _linked_from(page)}
    notebooks = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/*.ipynb"))
    for uri in sorted(outside.union(notebooks)):
        found = File(uri, str(ROOT), config.site_dir, config.use_directory_urls)
        found.inclusion = InclusionLevel.INCLUDED if uri in notebooks else InclusionLevel.NOT_IN_NAV
        files.append(found)

    reference = ["api/index.md"]
    overview = ["# API reference\n"]
    for package in PACKAGES:
        overview.append(f"\n## {package}\n\n{_summary(package)}\n\n| module | |\n|---|---|\n")
        pages = []
        for module in _modules(package):
            pages.append({module.removeprefix(f"{package}."): f"api/{module}.md"})
            files.append(File.generated(config, f"api/{module}.md", content=f"::: {module}\n"))
            overview.append(f"| [`{module}`]({module}.md) | {_summary(module)} |\n")
        reference.append({package: pages})
    files.append(File.generated(config, "api/index.md", content="".join(overview)))

    files.append(File.generated(config, "explore/index.html", content=page()))
    if notebooks:
        config.nav.append({"Notebooks": [{_title(uri): uri} for uri in notebooks]})
    config.nav.append({"API reference": reference})
    return files


def on_page_markdown(markdown, page, config, files):
    """In the site, what lies beside ``docs/`` lies inside of it: such links lose one level. Formulas in MathML."""
    page.meta.setdefault("search", {"boost": FOUND.get(page.file.src_uri.partition("/")[0], 1)})
    up = "../" * page.file.src_uri.count("/")
    markdown = MATH.sub(lambda formula: f'<div class="formula">{to_mathml(formula[1])}</div>', markdown)
    beside = not (DOCS / page.file.src_uri).exists()  # such as benchmarks/GPU.md
    return markdown.replace(f"]({up}docs/", f"]({up}") if beside else markdown.replace(f"](../{up}", f"]({up}")


def on_page_content(html, page, config, files):
    """Indices and powers as such; notebooks: nothing from the network, so formulas in MathML; links lead to pages."""
    html = CODE.sub(_code, html)
    if not page.file.src_uri.endswith(".ipynb"):
        return with_scripts(html)
    html = re.sub(r"<script\s.*?</script>", "", html, flags=re.S)
    html = LATEX_OUTPUT.sub(lambda output: output[1] + to_mathml(unescape(output[2])), html)
    return with_scripts(re.sub(r'href="\.\./docs/([^"#]+)\.md', r'href="../\1.html', html))


def _code(found):
    """Code within text: options stay in a line, long names may be broken where their parts meet. Blocks as they are."""
    if found[1]:
        return found[1]
    text = LONG.sub(lambda word: PARTS.sub("<wbr>", word[0]), found[2])
    return "<code>" + OPTION.sub(r'<span class="option">\g<0></span>', text) + "</code>"


def _linked_from(page):
    """Existing files outside of ``docs/`` that a page links to, relative to the repository."""
    folder = posixpath.join("docs", posixpath.dirname(page.src_uri))
    targets = (posixpath.normpath(posixpath.join(folder, link)) for link in OUTSIDE_LINK.findall(page.content_string))
    return {target for target in targets if not target.startswith("docs/") and (ROOT / target).is_file()}


def _modules(package):
    """Rooms and their modules by dotted name; not their commands."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / package).rglob("*.py"))
    parts = (path.parent.parts if path.name == "__init__" else path.parts for path in paths if path.name != "__main__")
    return sorted(".".join(found) for found in parts if found != (package,))


def _summary(module):
    """The first sentence of a module's docstring, without the command that runs it."""
    path = ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    first = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split("\n\n")[0].replace("\n", " ")
    return re.sub(r": ``python -m [^`]+``", "", first)


def _title(uri):
    """A notebook's first heading."""
    cells = json.loads((ROOT / uri).read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    heading = re.search(r"^# (.+)$", text, flags=re.M)
    return heading[1] if heading else Path(uri).stem


class GroupedParameters(Extension):
    """One entry of a docstring for several parameters stays one; defaults are the signature's.

    griffe gives every parameter of such an entry the default of the first.
    """

    def on_package(self, *, pkg, **_):
        self._mend(pkg)

    def _mend(self, owner):
        for thing in owner.members.values():
            if thing.is_alias:
                continue
            if thing.is_class and any(str(base) == "NamedTuple" for base in thing.bases):
                thing.set_member("__init__", _initialiser(thing))
            self._mend(thing)
            for section in thing.docstring.parsed if thing.docstring else ():
                if section.kind is DocstringSectionKind.parameters:
                    section.value = list(_entries(section.value, thing.docstring.value))


def _initialiser(named):
    """What a NamedTuple is called with: its annotated fields, which griffe knows as attributes alone."""
    fields = [field for field in named.attributes.values() if field.annotation is not None]
    kind = ParameterKind.positional_or_keyword
    taken = [Parameter(field.name, annotation=field.annotation, kind=kind, default=field.value) for field in fields]
    return Function("__init__", parameters=Parameters(Parameter("self", kind=kind), *taken))


def _entries(parameters, docstring):
    for _, group in groupby(parameters, key=lambda parameter: id(parameter.description)):
        first, *others = group
        names = ", ".join(parameter.name for parameter in (first, *others))
        typed = not others or f"{names} :" in docstring
        yield DocstringParameter(
            names, annotation=first.annotation if typed else None, description=first.description, value=None
        )
