"""normalgen data ..."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normalgen.cli.show import note, say, table
from normalgen.errors import DataError
from normalgen.io.progress import progress_bars

if TYPE_CHECKING:
    from normalgen.data.check import Checked
    from normalgen.data.counts import Counts
    from normalgen.data.published_set import Dataset

data_app = typer.Typer(
    no_args_is_help=True, help="Published data sets: which can be read, whether yours are whole, how they are split."
)
Root = Annotated[
    Path | None,
    typer.Argument(
        envvar="NORMALGEN_DATA",
        help="A data set's folder, or one above that has several by their usual names; none for elpv, a package.",
    ),
]
HEADS = [
    "data set",
    "category",
    "train",
    "good",
    "anomalous",
    "published",
    "unreadable",
    "copies: train",
    "test",
    "across",
]
MOST = 12


@data_app.command(name="list")
def list_() -> None:
    """The data sets that can be read by name, with licences and where to get them; nothing is downloaded for you.

    normalgen data list

    Images are counted as they are read: normal ones to choose references from, then good and anomalous test images. Of
    mnist and cifar10 each class is a category, with at most 100 good and 900 anomalous test images, drawn once and for
    all. The licence binds whoever downloads the images, and pools made from them.
    """
    from normalgen.data.registry import DATASETS

    rows = [
        [each.name, str(len(each.published) or "any"), *_totals(each), each.licence, each.where]
        for each in DATASETS.values()
    ]
    say(table(["data set", "categories", "train", "good", "anomalous", "licence", "where"], rows))
    say("")
    say("How each must lie on the disk:")
    say(table(["data set", "expected in its folder"], [[each.name, each.layout] for each in DATASETS.values()]))


def _totals(dataset: "Dataset") -> list[str]:
    counts = [*dataset.published.values()]
    return [str(sum(column)) for column in zip(*counts, strict=True)] if counts else ["-", "-", "-"]


@data_app.command()
def check(
    root: Root = None,
    dataset: Annotated[
        str | None, typer.Option(help="Only this one; an error unless it is whole and readable.")
    ] = None,
) -> None:
    """Read every image of the data sets under ROOT: is all there, can it be decoded, and are there copies?

    normalgen data check ~/datasets

    normalgen data check ~/datasets/BrainMRI --dataset brain-mri

    published: yes, or the counts that the whole set gives. Copies are images with the same pixels as another, whatever
    their names: inside the training images, inside the test images, and across, which is the number of test images that
    are training images, too. Copies across make results look better than they are. Nothing is changed or left out.
    """
    from normalgen.data.registry import find_dataset, found_datasets

    if root is None and dataset is None:
        raise DataError("name the folder to look at, or --dataset elpv for the package")
    if dataset:
        chosen = find_dataset(dataset)
        pairs = [(chosen, chosen.folder(root))]
    else:
        pairs = found_datasets(root or Path())
    if not pairs:
        say(f"no data set under {root}; see what is expected: normalgen data list")
        return
    rows, broken, whole = _checked(pairs)
    say(table(HEADS, rows))
    for message in broken:
        note(message)
    if dataset and not whole:
        raise DataError(f"{dataset} is not whole; see above")


def _checked(pairs: "list[tuple[Dataset, Path]]") -> tuple[list[list[str]], list[str], bool]:
    """A row a category; which are missing or cannot be read, and why; whether all is there and readable.

    Remarks are printed on the way.
    """
    from normalgen.data.check import check_category

    rows: list[list[str]] = []
    broken: list[str] = []
    whole = True
    with progress_bars() as watch:
        for dataset, folder in pairs:
            names = dataset.categories(folder)
            missing = [name for name in dataset.published if name not in names]
            if missing:
                broken.append(f"{dataset.name}: {len(missing)} of {len(dataset.published)} missing: {_some(missing)}")
            for name in names:
                try:
                    category = dataset.read(folder, name)
                except DataError as error:
                    broken.append(str(error))
                    rows.append([dataset.name, name, *["-"] * 3, "not whole", *["-"] * 4])
                    continue
                counts, checked = category.counts, check_category(category, watch)
                rows.append([dataset.name, name, *map(str, counts), _published(dataset, name, counts), *_sums(checked)])
                _remarks(f"{dataset.name}/{name}", category.notes, checked)
                whole &= not checked.unreadable and counts == dataset.published.get(name, counts)
    return rows, broken, whole and not broken


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def _published(dataset: "Dataset", name: str, counts: "Counts") -> str:
    published = dataset.published.get(name)
    if published is None:
        return "-"
    return "yes" if counts == published else str(published)


def _sums(checked: "Checked") -> list[str]:
    return [str(len(each)) for each in (checked.unreadable, checked.train, checked.test, checked.across)]


def _remarks(name: str, notes: tuple[str, ...], checked: "Checked") -> None:
    lines = [*notes, *checked.unreadable]
    lines += [f"copy across: test image {copy} is training image {first}" for copy, first in checked.across]
    lines += [f"copy with the other label: {copy} is {first}" for copy, first in checked.contradicting]
    for line in lines[:MOST]:
        note(f"{name}: {line}")
    if len(lines) > MOST:
        note(f"{name}: and {len(lines) - MOST} more such")


@data_app.command()
def split(
    dataset: Annotated[str, typer.Option(help="Its name; see: normalgen data list.")],
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
    root: Root = None,
) -> None:
    """Write which images are for training and which for testing, by name, so that others can use the same.

    normalgen data split ~/datasets --dataset brain-mri --out brain-mri.json

    Sets with official parts keep them. Of the others 25 % of the normal images are tested, drawn from sorted names with
    seed 42: the same files split alike on every machine.
    """
    from normalgen.data.registry import find_dataset
    from normalgen.io.atomic import write_json

    if out.exists():
        raise DataError(f"{out} is there already; remove it, or name another file with --out")
    chosen = find_dataset(dataset)
    categories = {}
    names = chosen.categories(root)
    if not names:
        raise DataError(f"{root} holds no category of {chosen.title}; see: normalgen data check {root}")
    for name in names:
        category = chosen.read(root, name)
        parts: dict[str, list[str]] = {"train": category.normals.names, "good": [], "anomalous": []}
        for test in category.tests:
            parts["anomalous" if test.label else "good"].append(test.image.name)
        categories[name] = parts
    write_json(out, {"dataset": chosen.name, "licence": chosen.licence, "categories": categories})
    say(f"{len(categories)} {'category' if len(categories) == 1 else 'categories'} of {chosen.title}: {out}")
