"""What all commands share: how they are found, called, listed and completed, their help, and their errors."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import empirical.__main__
import theory.__main__
from empirical.compare.presets import DEFAULT, PRESETS
from empirical.study.parts import SCALES
from empirical.train.settings import Running, Settings
from theory.rooms import SHELLS, rooms

ROOT = Path(__file__).parents[1]
ROOMS = [room for package in ("theory", "empirical") for room in rooms(package, ROOT / package)]
HEAVY = {"torch", "torchvision", "pandas", "sklearn", "scipy", "sympy", "matplotlib"}
SUBJECT = {"theory.audit": {"sympy"}, "theory.certificates": {"sympy"}}  # whose statements are written in it
BOUNDS = ["--alpha", ".5", "--beta", ".05", "--gamma", ".2"]
every_command = pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.module)


def printed(capsys, main, *arguments, code=0):
    """What a command that ends with this exit code prints."""
    try:
        found = main(list(arguments))
    except SystemExit as end:
        found = end.code or 0
    out, err = capsys.readouterr()
    assert found == code
    assert (err == "") == (code == 0)
    return out if code == 0 else err


def words(text):
    """A help text with its line breaks undone."""
    return " ".join(text.replace("\\\n", " ").split())


# --- how they are found and called -----------------------------------------------------------------


@pytest.mark.parametrize("package", [theory, empirical])
def test_a_package_lists_its_commands(package, capsys):
    listed = printed(capsys, package.__main__.main)
    for room in ROOMS:
        inside = package is empirical or room.module.startswith("theory.")
        assert (room.sentence in listed) == inside


def test_both_packages_together_have_one_command_a_name(capsys):
    listed = re.findall(r"^  ([a-z]+)  ", printed(capsys, empirical.__main__.main), flags=re.M)
    assert len(set(listed)) == len(listed) == len(ROOMS)
    assert {"simulate", "sample", "predict", "foretell"} < set(listed)


def test_the_documentation_lists_the_commands():
    page = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+)` \| `([a-z.]+)` \| (.+) \|$", page, flags=re.M)
    named = [room._replace(name=empirical.__main__.BOTH.get(room.module, room.name)) for room in ROOMS]
    assert rows == [tuple(room) for room in named]


@every_command
def test_a_command_runs_by_its_room_and_by_its_name(room, capsys):
    """All ways of calling show the same help but for the name of the program."""
    program = f"python -m {room.module}"
    alone = printed(capsys, room.load().main, "--help")
    name = empirical.__main__.BOTH.get(room.module, room.name)
    by_name = printed(capsys, empirical.__main__.main, name, "--help")
    assert alone.startswith(f"usage: {program}")
    assert by_name.startswith(f"usage: python -m empirical {name}")
    assert words(alone.replace(program, "X")) == words(by_name.replace(f"python -m empirical {name}", "X"))


def test_the_entry_is_called_difficult(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/difficult", "bounds", *BOUNDS, "--out", "x.csv"])
    assert empirical.__main__.difficult() == 2
    assert capsys.readouterr().err == "error: --out needs --sweep\n"
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/difficult"])
    assert empirical.__main__.difficult() == 0
    assert capsys.readouterr().out.startswith("usage: difficult COMMAND")


def test_the_entry_is_the_projects(capsys):
    import tomllib

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"difficult": "empirical.__main__:difficult"}


@every_command
def test_every_command_tells_its_version(room, capsys):
    assert re.fullmatch(r"difficult-examples \d+\.\d+\.\d+\S*\n", printed(capsys, room.load().main, "--version"))


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert printed(capsys, empirical.__main__.main, "bonds", "--alpha", ".5", code=2) == (
        "error: there is no command bonds (did you mean bounds?)\n"
    )
    assert printed(capsys, theory.__main__.main, "xyz", code=2) == "error: there is no command xyz\n"


def test_theory_lists_its_commands_without_empirical():
    code = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('theory', run_name='__main__')\n"
        "except SystemExit:\n    assert not {'empirical', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


# --- what they import ------------------------------------------------------------------------------


@every_command
@pytest.mark.parametrize("argument", ["--help", "--gama"])
def test_help_and_errors_come_before_heavy_imports(room, argument):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['', {argument!r}]\n"
        f"try:\n    runpy.run_module({room.module!r}, run_name='__main__')\n"
        f"finally:\n    print(*({HEAVY!r} & set(sys.modules)), sep=',', file=open(1, 'w', closefd=False))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == (0 if argument == "--help" else 2), result.stderr
    loaded = set(filter(None, result.stdout.splitlines()[-1].split(",")))
    assert loaded == SUBJECT.get(room.module, set())


def test_bounds_load_no_module_twice_and_the_standard_library_only():
    command = [sys.executable, "-X", "importtime", "-m", "theory.bounds", *BOUNDS]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = [line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")]
    own = [name for name in loaded if name.startswith("theory")]
    assert len(set(own)) == len(own) > 5
    assert "theory.bounds" in own
    known = sys.stdlib_module_names | {"theory"}
    # What the interpreter itself loads at its start, such as an editable install's finder, is not the command's.
    begun = loaded[loaded.index("runpy") :] if "runpy" in loaded else loaded[loaded.index("theory") :]
    assert {name.partition(".")[0] for name in begun} - {"org"} <= known  # copy asks for Jython's org.python


# --- their help ------------------------------------------------------------------------------------


@every_command
@pytest.mark.parametrize("program", ["difficult", "python -m"])
def test_help_fits_80_columns(room, program, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = room.name if program == "difficult" else room.module
    shown = room.load().parser(f"{program} {name}").format_help()
    assert max(map(len, shown.splitlines())) <= 80
    assert "(None)" not in shown


@every_command
def test_every_option_is_explained_and_in_a_group(room):
    parser = room.load().parser("X")
    for action in parser._actions:
        assert action.help
    general = {action.dest for action in parser._optionals._group_actions}
    grouped = {"store"} if room.module == "theory.certificates" else set()  # one option is no group
    assert general <= {"help", "version", *grouped}


@every_command
def test_two_examples_parse(room):
    parser = room.load().parser("X")
    assert len(parser.examples) == 2
    for example in parser.examples:
        parser.parse_args(shlex.split(example.partition(">")[0]))


@pytest.mark.parametrize("module", ["theory.bounds", "empirical.methods", "empirical.recipes", "empirical.findings"])
def test_examples_work(module, tmp_path):
    room = next(room for room in ROOMS if room.module == module)
    for folder in ("results", "docs", "examples", "theory", "empirical"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for example in room.load().parser("X").examples:
        if "--page" not in example:  # which would be written
            command = [sys.executable, "-m", module, *shlex.split(example.partition(">")[0])]
            assert subprocess.run(command, capture_output=True, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("module", "defaults"),
    [
        ("empirical.train", Settings()),
        ("empirical.compare", PRESETS[DEFAULT].base),
        ("empirical.study", SCALES["cpu"]),
    ],
)
def test_help_shows_the_defaults_that_the_command_uses(module, defaults):
    room = next(room for room in ROOMS if room.module == module)
    shown = {action.dest: words(action.help) for action in room.load().parser("X")._actions}
    for f in (*fields(Settings), *fields(Running)):
        if f.metadata.get("kind") not in (int, float):
            continue
        default = getattr(defaults if hasattr(defaults, f.name) else Running(), f.name)
        if default is not None:
            assert shown[f.name].endswith(f"({default:g})" if isinstance(default, float) else f"({default})")


def test_ranges_are_shown():
    room = next(room for room in ROOMS if room.module == "empirical.train")
    shown = {action.dest: words(action.help) for action in room.load().parser("X")._actions}
    assert shown["tau"] == "temperature, >= 1e-06 (0.5)"
    assert ", > 0 (" in shown["lr"]
    assert shown["blur"] == "share of blurred views, 0 to 1 (0)"
    assert "above 0 to 1" in shown["smallest_crop"]
    assert "from 0 to below 1" in shown["warmup"]
    assert ">= 2" in shown["batch"]
    assert "cosine, constant" in shown["schedule"]


# --- completion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_commands_options_and_choices(shell, capsys, monkeypatch):
    pytest.importorskip("shtab")
    monkeypatch.setattr(sys, "argv", ["difficult", "--print-completion", shell])
    assert empirical.__main__.difficult() == 0
    script = capsys.readouterr().out
    words = set(re.findall(r"[\w-]+", script))
    assert words > {empirical.__main__.BOTH.get(room.module, room.name) for room in ROOMS}
    if shell != "tcsh":  # which completes no options of commands
        assert words > {"--knn-tau", "photos-gpu", "--print-completion"}


def test_completion_in_bash(tmp_path, capsys, monkeypatch):
    pytest.importorskip("shtab")
    monkeypatch.setattr(sys, "argv", ["difficult", "--print-completion", "bash"])
    empirical.__main__.difficult()
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "features.npy").touch()
    (tmp_path / "folder").mkdir()

    def completed(*typed):
        code = (
            f"source ./script; COMP_WORDS=({shlex.join(typed)}); COMP_CWORD={len(typed) - 1}; COMPREPLY=(); "
            f"_shtab_difficult; echo ${{COMPREPLY[@]}}"
        )
        return subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True).stdout.split()

    assert completed("difficult", "bou") == ["bounds"]
    assert "--gamma" in completed("difficult", "bounds", "--g")
    assert completed("difficult", "compare", "--preset", "photos-c") == ["photos-cpu"]
    assert "features.npy" in completed("difficult", "profile", "--features", "fe")
    assert completed("difficult", "train", "--out", "f") == ["folder"]


def test_completion_without_shtab_names_the_extra(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    message = printed(capsys, empirical.__main__.main, "--print-completion", "bash", code=2)
    assert message == "error: --print-completion needs shtab: pip install 'difficult-examples[completion]'\n"


# --- errors ----------------------------------------------------------------------------------------


@every_command
@pytest.mark.parametrize("nonsense", [["--gama", "1"], ["one", "two", "three", "--frobnicate"], ["--help=1"]])
def test_nonsense_is_one_line(room, nonsense, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    error = printed(capsys, room.load().main, *nonsense, code=2)
    assert re.fullmatch(r"error: .+\n", error)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("bounds --alpha .5 --beta .05 --gama .2", "there is no option --gama (did you mean --gamma?)"),
        ("bounds --alpha .5 --beta .05 --gama=.2", "there is no option --gama (did you mean --gamma?)"),
        ("bounds --alpha .5 --beta x", "--beta x: not a number"),
        ("bounds --classes 2.5", "--classes 2.5: not an integer"),
        ("bounds --exact --alpha half", "--alpha half: not a fraction such as 1/3"),
        ("bounds --alpha", "--alpha needs a value: similarity within a class; 0 <= beta <= gamma < alpha < 1"),
        ("bounds --pairing blok", "--pairing blok: not one of block, any, matched, clean (did you mean block?)"),
        ("bounds --alpha .5 --beta -1e-3 --gamma .2", "beta = -0.001 violates beta >= 0"),
        ("bounds --json=1", "--json: ignored explicit argument '1'"),
        ("bounds one", "unexpected argument one"),
        ("audit --json --brief", "--brief: not allowed with argument --json"),
        ("dro --tau .5", "--similarities is required: .npy of cosines: one anchor's negatives, or one anchor a row "
         "with NaN at itself and its positives"),
        ("dro --tau .5 --similaritys s.npy", "there is no option --similaritys (did you mean --similarities?)"),
        ("simulate --out out", "EXPERIMENT is required: a TOML file, see docs/simulation.md"),
        ("simulate none.toml --out out", "cannot read none.toml: there is no file none.toml in HERE"),
        ("sample none.toml --out out", "cannot read none.toml: there is no file none.toml in HERE"),
        ("sample --alpha .5 --out out", "--beta is required (or an experiment)"),
        ("profile", "one of --checkpoint and --features is required"),
        ("profile --features f.npy", "cannot read f.npy: there is no file f.npy in HERE"),
        ("difficulty --features f.npy --by gaps", "--by gaps: not one of doubt, gap, contrast, flags, sas "
         "(did you mean gap?)"),
        ("difficulty --features f.npy --space projector", "--space projector goes with --checkpoint: "
         "features are of one space"),
        ("train --data folder:x --out out", "data folder:x: there is no folder x in HERE"),
        ("train --data folder:x/y --out out", "data folder:x/y: there is no folder x in HERE"),
        ("train --arm margin --out out", "arm margin needs a plan, which holds its values: --plan FILE"),
        ("train --arm margin --plan p.json --out out", "cannot read p.json: there is no file p.json in HERE"),
        ("train --arm mixed_removal --out out", "--arm mixed_removal needs mixed images: --omega above 0"),
        ("train --arm hcl --loss adnce --out out", "--loss adnce and --arm hcl exclude each other"),
        ("train --optimiser sgd --out out", "there is no option --optimiser (did you mean --optimizer?)"),
        ("train --tau 0 --out out", "tau = 0.0 violates tau >= 1e-06"),
        ("train --epochs 0 --out out", "epochs = 0 violates an integer >= 1"),
        ("train", "--out is required: folder of the run"),
        ("evaluate --checkpoint runs/x/checkpoint.pt", "cannot read runs/x/checkpoint.pt: there is no folder runs in "
         "HERE"),
        ("compare --out out", "--data is required: cifar10, cifar100, stl10, npz:PATH, folder:PATH or "
         "views:PATH"),
        ("compare --data digits --omegas 0,x --out out", "--omegas 0,x: not numbers separated by commas"),
        ("compare --preset digits-dmo --out out", "--preset digits-dmo: not one of digits-demo, photos-cpu, "
         "photos-gpu, adapter (did you mean digits-demo?)"),
        ("study remedys --data digits --out out", "PART remedys: not one of omega, remedies, rivals, strength, "
         "controls, batch, tau, headline (did you mean remedies?)"),
        ("embed --out out", "--data is required: digits, cifar10, cifar100, stl10, npz:PATH or folder:PATH"),
        ("embed --data digits --views 1 --out out", "views = 1 violates an integer in [2, 1000]"),
        ("embed --data digits --sets 2 --out out", "sets = 2 violates 1 where train, the images of each set, is not "
         "given"),
        ("embed --data digits --encoder resnet --out out", "encoder = resnet violates one of efficientnet_lite0, "
         "timm:NAME, torchvision:NAME, MODULE:FACTORY"),
        ("embed --data views:x.npz --out out", "data = views:x.npz violates images, not views that are cached already"),
        ("embed --data digits --out out.csv", "out = out.csv violates a file name ending in .npz or .parquet"),
        ("embed --data npz:none.npz --out out", "cannot read none.npz: there is no file none.npz in HERE"),
        ("train --data views:none.npz --out out", "cannot read none.npz: there is no file none.npz in HERE"),
        ("train --data views:x.npz --omega .1 --out out", "omega = 0.1 violates omega = 0 for cached views: mix when "
         "embedding (difficult embed)"),
        ("train --data views:x.npz --jitter 2 --out out", "jitter = 2.0 violates its default 1.0 for cached views: "
         "give it to difficult embed"),
        ("train --data views:x.npz --encoder vit --out out", "encoder = vit violates adapter or MODULE:FACTORY for "
         "cached views"),
        ("findings none", "cannot read none.json: there is no file none.json in HERE"),
        ("evidence --out out", "PART is required: one or more of primary, tables, rivals, sizes, after, robustness, "
         "mixed10, mixed20, mixed30, tail, cifar100, trashnet, scratch, theory, people, tuning"),
        ("evidence trashnet --out out", "part trashnet needs the images of trashnet: --trashnet DATA"),
        ("evidence --out out --publish x", "out = out violates a folder with finished runs of the evidence"),
    ],
)  # fmt: skip
def test_errors_say_what_a_person_would_say(command, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    error = printed(capsys, empirical.__main__.main, *shlex.split(command), code=2)
    assert error == f"error: {message.replace('HERE', str(tmp_path))}\n"
    assert not list(tmp_path.iterdir())
