"""Image files in class folders: which there are, which are for testing, and what is left out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from empirical.data.reading import Note, note
from theory.checks import ParameterError, require
from theory.files import read_text, unreadable

IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
)
TRAIN_FOLDERS = ("train", "training")  # in any case
TEST_FOLDERS = ("test", "testing", "val", "valid", "validation")
ANNOTATIONS = "val_annotations.txt"  # in Tiny-ImageNet's val, whose images lie in no class folders
SYSTEM_NAMES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"}

NO_CLASS = ""  # of the images of a folder without class folders

Labelled = list[tuple[Path, str]]  # files with the names of their classes
Identity = tuple[int, int]  # of a file or folder: device and number


@dataclass
class LeftOut:
    """Files and folders that are not read, by the reason.

    Parameters
    ----------
    root : Path
        To which their names are relative.
    """

    root: Path
    hidden: list[str] = field(default_factory=list)
    foreign: dict[str, list[str]] = field(default_factory=dict)  # by suffix
    outside: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def name(self, path: Path | str) -> str:
        """What notes call it."""
        return os.path.relpath(path, self.root)

    def notes(self) -> tuple[Note, ...]:
        """What the reading says of them."""
        foreign = [
            note(names, f"file {ending}", f"files {ending}")
            for suffix, names in sorted(self.foreign.items())
            for ending in [f"ending in {suffix}" if suffix else "without a suffix"]
        ]
        return (
            note(self.empty, "class without an image", "classes without an image"),
            *foreign,
            note(self.outside, "image outside the class folders", "images outside the class folders"),
            note(self.beside, "folder beside those to train and test on", "folders beside those to train and test on"),
            note(self.hidden, "hidden file or folder", "hidden files and folders"),
            note(self.linked, "link to what is read anyhow", "links to what is read anyhow"),
            note(self.broken, "broken link", "broken links"),
        )


def train_and_test(root: Path) -> tuple[Labelled, Labelled, tuple[Note, ...]]:
    """The images to train and to test on, and what is left out.

    Folders for training and testing are recognised in any case (Train, TESTING, Val); without any, every fifth image
    of a class is for testing. Hidden names are skipped. Links are followed, but nothing is read twice.

    Raises
    ------
    ParameterError
        If there are no images, or none to train or to test on.
    """
    out = LeftOut(root)
    folders = [entry for entry in _visible(root, out) if entry.is_dir()]
    train, test = _named(root, folders, TRAIN_FOLDERS), _named(root, folders, TEST_FOLDERS)
    if train is None and test is not None and _has_folders(test):
        raise ParameterError(f"data folder:{root}: beside {test.name} there is no folder {' or '.join(TRAIN_FOLDERS)}")
    if test is None and train is not None and _has_folders(train):
        raise ParameterError(f"data folder:{root}: beside {train.name} there is no folder {', '.join(TEST_FOLDERS)}")
    if train is None or test is None:  # images directly in it: then it is a class, such as one of trains
        out = LeftOut(root)
        files = class_files(root, out, flat=True)
        if files[0][1] == NO_CLASS:  # nothing to test with
            return files, [], out.notes()
        return *_every_fifth_for_testing(root, files), out.notes()
    for entry in folders:
        annotated = entry / ANNOTATIONS
        if entry.name.lower() == "val" and annotated.is_file():
            out.beside += [folder.name for folder in folders if folder not in (train, entry)]
            return class_files(train, out), _annotated_files(annotated), out.notes()
    out.beside += [folder.name for folder in folders if folder not in (train, test)]
    return class_files(train, out), class_files(test, out), out.notes()


def _named(root: Path, folders: list[Path], names: tuple[str, ...]) -> Path | None:
    """The folder with the first of these names, in any case."""
    for name in names:
        found = [folder for folder in folders if folder.name.lower() == name]
        if len(found) > 1:
            raise ParameterError(f"data folder:{root}: there are both {found[0].name} and {found[1].name}")
        if found:
            return found[0]
    return None


def _has_folders(folder: Path) -> bool:
    return any(entry.is_dir() for entry in _visible(folder, LeftOut(folder)))


def class_files(folder: Path, out: LeftOut, flat: bool = False) -> Labelled:
    """The images in a folder's class folders, sorted by class and path.

    Parameters
    ----------
    folder : Path
    out : LeftOut
    flat : bool
        Whether images directly in the folder, where no class folder has any, are images without a class.

    Raises
    ------
    ParameterError
        If there are none.
    """
    found: dict[str, list[Path]] = {}
    entered: list[Path] = [folder]
    classes: list[tuple[Path, str]] = []
    links: deque[tuple[Path, str]] = deque()  # followed last, so that a file is read by its own name if it has one here
    for entry in _visible(folder, out):
        if entry.is_symlink():
            classes.append((entry, entry.name))
        elif entry.is_dir():
            found[entry.name] = []
            _walk(entry, entry.name, found, entered, links, out)
        else:
            _outside(entry, out)
    links.extendleft(reversed(classes))  # classes before what lies within them
    if links:
        _follow(links, found, entered, folder, out)
    out.empty += [name for name, files in found.items() if not files]
    files = [(file, name) for name in sorted(found) for file in sorted(found[name])]
    if not files and flat and out.outside:
        out.outside, beside = [], out.outside
        files = [(folder / name, NO_CLASS) for name in beside]
    if not files:
        raise ParameterError(f"data folder:{folder}: there are no images in its subfolders (CLASS/IMAGE is expected)")
    return files


def _outside(file: Path, out: LeftOut) -> None:
    if file.suffix.lower() in IMAGE_SUFFIXES:
        out.outside.append(out.name(file))
    else:
        _foreign(file, out)


def _foreign(file: Path, out: LeftOut) -> None:
    out.foreign.setdefault(file.suffix.lower(), []).append(out.name(file))


def _walk(
    folder: Path,
    name: str,
    found: dict[str, list[Path]],
    entered: list[Path],
    links: deque[tuple[Path, str]],
    out: LeftOut,
    seen: set[Identity] | None = None,
) -> None:
    """Collect the images below a folder, and the links; with ``seen``, only what is not among it."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        if seen is None:
            entered.append(place)
        for entry in _visible(place, out):
            if entry.is_symlink():
                links.append((entry, name))
            elif seen is not None and (identity := _identity(entry)) is not None and identity in seen:
                out.linked.append(out.name(entry))
            else:
                if seen is not None and identity is not None:
                    seen.add(identity)
                if entry.is_dir():
                    waiting.append(entry)
                elif entry.suffix.lower() in IMAGE_SUFFIXES:
                    found[name].append(entry)
                else:
                    _foreign(entry, out)


def _follow(
    links: deque[tuple[Path, str]], found: dict[str, list[Path]], entered: list[Path], folder: Path, out: LeftOut
) -> None:
    """Follow links to what has not been read, each file and folder once, so that loops end."""
    read = (*entered, *(file for files in found.values() for file in files))
    seen = {identity for path in read if (identity := _identity(path)) is not None}
    while links:
        link, name = links.popleft()
        identity = _identity(link)
        if identity is None:
            out.broken.append(out.name(link))
        elif identity in seen:
            out.linked.append(out.name(link))
        elif link.is_dir():
            seen.add(identity)
            found.setdefault(name, [])
            _walk(link, name, found, entered, links, out, seen)
        elif link.parent == folder:
            _outside(link, out)
        elif link.suffix.lower() in IMAGE_SUFFIXES:
            seen.add(identity)
            found[name].append(link)
        else:
            _foreign(link, out)


def _identity(path: Path) -> Identity | None:
    """Of what a path leads to; None if it leads nowhere, or in a circle."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _visible(folder: Path, out: LeftOut) -> Iterator[Path]:
    """Entries of a folder, sorted by name, without hidden ones."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise unreadable(folder, error) from error
    for name in names:
        if name.startswith(".") or name.lower() in SYSTEM_NAMES:
            out.hidden.append(out.name(folder / name))
        else:
            yield folder / name


def _every_fifth_for_testing(root: Path, files: Iterable[tuple[Path, str]]) -> tuple[Labelled, Labelled]:
    train: Labelled = []
    test: Labelled = []
    seen: dict[str, int] = {}
    for file, name in files:
        seen[name] = seen.get(name, 0) + 1
        (test if seen[name] % 5 == 0 else train).append((file, name))
    if not test:
        raise ParameterError(f"data folder:{root}: no class has 5 images, of which a fifth would be for testing")
    return train, test


def _annotated_files(annotations: Path) -> Labelled:
    """Tiny-ImageNet's validation images: lines of file name, class, and a bounding box."""
    try:
        lines = [line.split("\t") for line in read_text(annotations).splitlines() if line]
        found = [(line[0], line[1]) for line in lines]
    except (ParameterError, IndexError) as error:
        raise ParameterError(f"cannot read {annotations}: lines of file name, tab, class are expected") from error
    for name, _ in found:  # which is no path out of the folder
        require(PurePath(name).name == name and "\0" not in name, f"name in {annotations}", name, "a file's name")
    return [(annotations.parent / "images" / name, label) for name, label in found]
