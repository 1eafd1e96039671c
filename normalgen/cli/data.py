"""normalgen data ..."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.show import note, say, say_table
from normalgen.errors import DataError
from normalgen.io.progress import progress_bars

if TYPE_CHECKING:
    from normalgen.data.category import Category
    from normalgen.data.check import Checked
    from normalgen.data.counts import Counts
    from normalgen.data.labels import LabelNames
    from normalgen.data.published_set import Dataset

data_app = typer.Typer(
    no_args_is_help=True, help="Published data sets: list the supported ones, check your copies, write their splits."
)
Root = Annotated[
    Path | None,
    typer.Argument(
        envvar="NORMALGEN_DATA",
        help="Folder of a data set, or its parent if that holds several under their usual names. Leave it out for "
        "elpv, which is a package.",
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
    """List the supported data sets, with licences and download pages. It downloads nothing.

    normalgen data list

    The counts are of normal images to choose references from, then of good and
    anomalous test images. In mnist and cifar10 each class is a category, with at
    most 100 good and 900 anomalous test images, drawn once and fixed. The licence
    binds you when you download the images, and it covers pools made from them.
    """
    from normalgen.data.registry import DATASETS

    rows = [
        [item.name, str(len(item.published) or "any"), *_totals(item), item.licence, item.where]
        for item in DATASETS.values()
    ]
    say_table(["data set", "categories", "train", "good", "anomalous", "licence", "where"], rows)
    say("")
    say("Expected folders:")
    say_table(["data set", "expected in its folder"], [[item.name, item.layout] for item in DATASETS.values()])


def _totals(dataset: "Dataset") -> list[str]:
    counts = [*dataset.published.values()]
    return [str(sum(column)) for column in zip(*counts, strict=True)] if counts else ["-", "-", "-"]


@data_app.command()
def check(
    root: Root = None,
    dataset: Annotated[
        str | None, typer.Option(help="Check only this data set; fail unless it is complete and readable.")
    ] = None,
    normal: inputs.NormalNames = None,
    anomalous: inputs.AnomalousNames = None,
) -> None:
    """Read every image of the data sets under ROOT, and report missing, unreadable and duplicate images.

    normalgen data check ~/datasets

    normalgen data check ~/datasets/BrainMRI --dataset brain-mri

    published: yes if the counts match the complete data set, else the counts it
    should have. Copies are images with the same pixels as another image, whatever
    their names: among the training images, among the test images, and across
    (test images that are also training images). Copies across make results look
    better than they are; there, an image saved again, resized or slightly cropped
    counts, too. Nothing is changed or removed.
    """
    from normalgen.data.registry import find_dataset, found_datasets

    said = inputs.label_names(normal, anomalous)
    if root is None and dataset is None:
        raise DataError("name the folder to check, or --dataset elpv for the package")
    if dataset:
        chosen = find_dataset(dataset, said)
        pairs = [(chosen, chosen.folder(root))]
    else:
        pairs = found_datasets(root or Path(), said)
    if not pairs:
        say(f"no data set under {root}; to see the expected folders: normalgen data list")
        return
    rows, broken, complete = _checked(pairs, said)
    say_table(HEADS, rows)
    for message in broken:
        note(message)
    if dataset and not complete:
        raise DataError(f"{dataset} is not complete; see above")


def _checked(pairs: "list[tuple[Dataset, Path]]", said: "LabelNames") -> tuple[list[list[str]], list[str], bool]:
    """Return one row per category, what is missing or unreadable, and whether all data sets are complete.

    Remarks are printed along the way.
    """
    from normalgen.data.check import check_category
    from normalgen.data.registry import check_said

    categories: list[Category] = []
    rows: list[list[str]] = []
    broken: list[str] = []
    complete = True
    with progress_bars() as watch:
        for dataset, folder in pairs:
            names = dataset.categories(folder)
            missing = [name for name in dataset.published if name not in names]
            if missing:
                broken.append(f"{dataset.name}: {len(missing)} of {len(dataset.published)} missing: {_listed(missing)}")
            for name in names:
                try:
                    category = dataset.read(folder, name)
                except DataError as error:
                    broken.append(str(error))
                    rows.append([dataset.name, name, *["-"] * 3, "incomplete", *["-"] * 4])
                    continue
                categories.append(category)
                counts, checked = category.counts, check_category(category, watch)
                rows.append([dataset.name, name, *map(str, counts), _published(dataset, name, counts), *_sums(checked)])
                _remarks(f"{dataset.name}/{name}", category, checked)
                complete &= not checked.unreadable and counts == dataset.published.get(name, counts)
    if not broken:
        check_said(said, [dataset.name for dataset, _ in pairs], categories)
    return rows, broken, complete and not broken


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def _published(dataset: "Dataset", name: str, counts: "Counts") -> str:
    published = dataset.published.get(name)
    if published is None:
        return "-"
    return "yes" if counts == published else str(published)


def _sums(checked: "Checked") -> list[str]:
    return [str(len(images)) for images in (checked.unreadable, checked.train, checked.test, checked.across)]


def _remarks(name: str, category: "Category", checked: "Checked") -> None:
    from normalgen.data.labels import describe

    lines = [*([describe(category.folders)] if category.folders else []), *category.notes, *checked.unreadable]
    lines += [f"copy across: test image {copy} is training image {first}" for copy, first in checked.across]
    lines += [f"copy with the other label: {copy} is {first}" for copy, first in checked.contradicting]
    for line in lines[:MOST]:
        note(f"{name}: {line}")
    if len(lines) > MOST:
        note(f"{name}: and {len(lines) - MOST} more")


@data_app.command()
def split(
    dataset: Annotated[str, typer.Option(help="Name of the data set; see: normalgen data list.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    root: Root = None,
    normal: inputs.NormalNames = None,
    anomalous: inputs.AnomalousNames = None,
) -> None:
    """Write the names of the training and test images to a JSON file, so that others can use the same split.

    normalgen data split ~/datasets --dataset brain-mri --out brain-mri.json

    A data set's official split is kept. If it has none, 25 % of its normal images
    become test images, drawn from the sorted names with seed 42, so the same
    files give the same split on every machine.
    """
    from normalgen.data.labels import describe
    from normalgen.data.registry import check_said, find_dataset
    from normalgen.io.atomic import write_json
    from normalgen.io.run_folder import refuse_file

    if out.exists():
        raise DataError(f"{out} already exists; remove it, or choose another file with --out")
    refuse_file(out.parent)
    said = inputs.label_names(normal, anomalous)
    chosen = find_dataset(dataset, said)
    categories: list[Category] = []
    parts = {}
    names = chosen.categories(root)
    if not names:
        raise DataError(f"{root} has no category of {chosen.title}; see: normalgen data check {root}")
    for name in names:
        category = chosen.read(root, name)
        named = {label: [test.image.name for test in category.tests if test.label == label] for label in (0, 1)}
        parts[name] = {"train": category.normals.names, "good": named[0], "anomalous": named[1]}
        categories.append(category)
        if category.folders:
            note(f"{name}: {describe(category.folders)}")
    check_said(said, [dataset], categories)
    write_json(out, {"dataset": chosen.name, "licence": chosen.licence, "categories": parts})
    say(f"{len(categories)} {'category' if len(categories) == 1 else 'categories'} of {chosen.title}: {out}")
