"""normalgen detect and normalgen personalize."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from normalgen.cli import inputs
from normalgen.cli.job import Job
from normalgen.cli.show import going_on, note, progress, say, table
from normalgen.errors import DataError
from normalgen.presets import Preset
from normalgen.presets import preset as make_preset

if TYPE_CHECKING:
    from normalgen.detection import Run
    from normalgen.diffusion.model import NormalModel
    from normalgen.one_to_normal import OneToNormal
    from normalgen.pool import Pool
    from normalgen.references import References
    from normalgen.threshold import Threshold

DETECTOR, TWINS = "Detector", "Twins"
WORST = 10

QueriesPath = Annotated[
    Path,
    typer.Argument(help="Photos to judge: one, a folder, or a folder of labelled sub-folders (good, scratch ...)."),
]
ReferenceFolder = Annotated[
    Path | None,
    typer.Option(
        "--references", help="Folder of normal photos, instead of --category's.", rich_help_panel=inputs.WHICH
    ),
]
TwinPrompts = Annotated[
    int | None,
    typer.Option("--prompts", help="Prompt set a twin is chosen from: 1, 3, 5 or 10.", rich_help_panel=TWINS),
]
TwinStrength = Annotated[
    float | None, typer.Option("--strength", help="How far a twin leaves its query, in (0, 1].", rich_help_panel=TWINS)
]
TwinSteps = Annotated[
    int | None,
    typer.Option("--steps", help="Steps really made for a twin; 0 makes all of the strength.", rich_help_panel=TWINS),
]


def detect(
    queries: QueriesPath,
    references: ReferenceFolder = None,
    category: inputs.CategoryName = None,
    data: inputs.Data = None,
    noun: inputs.Object = None,
    k: inputs.K = None,
    manifest: inputs.Manifest = None,
    crop: inputs.CropText = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; default: detections/CATEGORY.")] = None,
    preset: inputs.PresetName = "tiny",
    weights: inputs.Weights = None,
    model: inputs.ModelFolder = None,
    training_steps: inputs.TrainingSteps = None,
    pool: Annotated[
        Path | None,
        typer.Option("--pool", help="The pool that joins the bank; default: pools/CATEGORY, made if need be."),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Images in a pool that is made on the way; 0: no pool.")] = 24,
    features: Annotated[
        str,
        typer.Option(help="embedded, clip[:NAME[:WEIGHTS]] or timm:NAME[:FILE].", rich_help_panel=DETECTOR),
    ] = "",
    branches: Annotated[
        str, typer.Option(help="Of p (twin), n (bank), text; such as p,n.", rich_help_panel=DETECTOR)
    ] = "p,n",
    fusion: Annotated[
        Literal["calibrated", "paper"] | None,
        typer.Option(help="Add deviations from normal, or raw scores as the paper does.", rich_help_panel=DETECTOR),
    ] = None,
    text: Annotated[
        str,
        typer.Option(help="Text maps, made by normalgen train-text, for the branch text.", rich_help_panel=DETECTOR),
    ] = "",
    prompts: TwinPrompts = None,
    strength: TwinStrength = None,
    steps: TwinSteps = None,
    rate: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Share of good parts that may be called anomalous.")
    ] = 0.05,
    calibrate: Annotated[
        Path | None, typer.Option(help="Folder of more good photos, none of them a reference: makes verdicts sound.")
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Also measure a proxy AUROC on references with drawn defects.")
    ] = False,
    seed: inputs.Seed = 0,
    device: inputs.DeviceName = "auto",
) -> None:
    """Find anomalies in photos with a few normal ones alone: One-to-Normal.

    Each query is compared with its normal twin and with a bank of normal images. The model and the pool are made first,
    unless they are there.

    normalgen detect ./mixed --references ./good

    normalgen detect MVTEC_ROOT/screw/test --category screw --data MVTEC_ROOT

    normalgen detect ./mixed --references ./good --calibrate ./more_good --rate 0.02
    """
    from normalgen.detection import detect as run_detection
    from normalgen.one_to_normal import OneToNormal
    from normalgen.queries import find_queries

    changes = {"twin_prompts": prompts, "twin_strength": strength, "twin_steps": steps}
    settings = make_preset(preset, weights=weights, training_steps=training_steps, **changes)
    chosen = inputs.references_from(references, category, data, noun, k, manifest, crop, seed)
    found = find_queries(queries, chosen.images.crop)
    where = inputs.pick_device(device)
    paper = preset == "paper"
    detector = OneToNormal(
        features=features or ("clip" if preset != "tiny" else "embedded"),
        branches=tuple(part.strip() for part in branches.split(",") if part.strip()),
        fusion=fusion or ("paper" if paper else "calibrated"),
        bank=30 if paper else 0,
        text=text,
        seed=seed,
        device=where,
        cache=inputs.cache("twins"),
    )
    folder = out or Path("detections") / chosen.category
    with going_on(), progress() as watch:
        maker = _Making(chosen, settings, seed, where, model or Path("models") / chosen.category)
        ready = maker.model(watch) if "p" in detector.branches else None
        bank = maker.pool(pool, n, watch) if "n" in detector.branches else None
        detector.fit(chosen, bank, ready.using(maker.twins(ready)) if ready else None)
        threshold = _threshold(detector, calibrate, chosen, rate)
        run = run_detection(
            detector, found, threshold, folder, title=f"{chosen.category}: {len(found.images)} photos", watch=watch
        )
        proxy = _proxy(detector, chosen, seed, watch) if self_test else []
    _tell(run, detector, threshold, folder, proxy)
    if run.errors:
        raise typer.Exit(1)


class _Making:
    """The model and the pool, made on the way where they are missing."""

    def __init__(self, references: "References", settings: Preset, seed: int, device: str, model: Path) -> None:
        self.references, self.settings, self.seed, self.device, self.folder = references, settings, seed, device, model

    def model(self, watch: Any) -> "NormalModel":
        from normalgen.customize import customize, is_customized
        from normalgen.diffusion.model import NormalModel

        if is_customized(self.folder):
            return NormalModel.load(self.folder, device=self.device)
        return customize(self.references, self.settings, self.folder, seed=self.seed, device=self.device, watch=watch)

    def twins(self, model: "NormalModel") -> Preset:
        """The model's preset with the twins' settings of this run."""
        from normalgen.presets import change

        names = ("twin_prompts", "twin_strength", "twin_steps")
        return change(model.preset, **{name: getattr(self.settings, name) for name in names})

    def pool(self, given: Path | None, n: int, watch: Any) -> "Pool | None":
        from normalgen.pool import METADATA, Pool

        folder = given or Path("pools") / self.references.category
        if (folder / METADATA).is_file():
            return Pool.load(folder)
        if given is not None:
            raise DataError(
                f"{given} holds no pool; make one with: normalgen generate --out {given}, or leave --pool out"
            )
        if not n:
            return None
        job = Job(self.references, self.settings, folder, self.seed, overwrite=False)
        return job.run(n, self.model(watch), None, watch)


def _threshold(detector: "OneToNormal", calibrate: Path | None, references: "References", rate: float) -> "Threshold":
    from normalgen.images import Images
    from normalgen.threshold import Threshold

    if calibrate is None:
        return Threshold(detector.left_out, rate, "approximate")
    photos = Images.from_folder(calibrate).cropped(references.images.crop)
    known = set(references.images.hashes())
    fresh = [place for place, digest in enumerate(photos.hashes()) if digest not in known]
    if len(fresh) < len(photos):
        note(f"{len(photos) - len(fresh)} of {calibrate}'s photos are references; they do not count")
    if not fresh:
        raise DataError(f"{calibrate} holds no photo that is not a reference; put other good photos there")
    return Threshold(detector.predict(photos.take(fresh)).image_scores, rate, "calibrated")


def _proxy(detector: "OneToNormal", references: "References", seed: int, watch: Any) -> list[str]:
    from normalgen.self_test import self_test

    found = self_test(detector, references, seed=seed, watch=watch)
    overall = ", ".join(f"{name} {value:.3f}" for name, value in found.overall.items())
    kinds = ", ".join(f"{name} {value:.3f}" for name, value in found.by_kind.items())
    lines = [
        f"self-test on {found.images} augmented references with and without drawn defects (a proxy, no real defects):",
        f"  AUROC by branch: {overall}",
        f"  fused, by kind:  {kinds}",
    ]
    if len(references.images) == 1:
        lines.append("  with one reference its own augmentations stand in for other good parts: expect less")
    return lines


def _tell(run: "Run", detector: "OneToNormal", threshold: "Threshold", folder: Path, proxy: list[str]) -> None:
    worst = [each for each in run.results if not each.error][:WORST]
    heads = ["rank", "score", *(worst[0].scores or {}), "verdict", "label", "file"]
    rows = [
        [
            str(each.rank),
            f"{each.score:.3f}",
            *(f"{value:.3f}" for value in (each.scores or {}).values()),
            each.verdict or "-",
            each.label or "-",
            each.file,
        ]
        for each in worst
    ]
    say(table(heads, rows))
    left = len(run.results) - len(run.errors) - len(worst)
    if left > 0:
        say(f"... and {left} more")
    settings = detector.settings()
    say(
        f"branches {','.join(detector.branches)}, {detector.features} features, {detector.fusion} fusion, "
        f"bank of {settings['bank_images']} images"
    )
    say(threshold.sentence())
    if run.auroc is not None and run.average_precision is not None:
        say(f"labels known: image AUROC {run.auroc:.3f}, average precision {run.average_precision:.3f}")
    for line in proxy:
        say(line)
    say(f"  look at  {folder / 'report.html'}")
    say(f"  as data  {folder / 'results.jsonl'}, {folder / 'results.csv'}, {folder / 'maps'}")
    for each in run.errors:
        note(each.error)


def personalize(
    queries: QueriesPath,
    model: Annotated[Path, typer.Option(help="A customized model's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the twins and the pictures.")] = Path("twins"),
    crop: inputs.CropText = None,
    prompts: TwinPrompts = None,
    strength: TwinStrength = None,
    steps: TwinSteps = None,
    seed: inputs.Seed = 0,
    device: inputs.DeviceName = "auto",
) -> None:
    """Make each photo's normal twin, and a picture of query, twin and difference.

    normalgen personalize ./mixed --model models/good --out twins
    """
    from normalgen.diffusion.model import NormalModel
    from normalgen.images import parse_crop, to_pil
    from normalgen.pages import triptych
    from normalgen.personalize import Personalizer
    from normalgen.queries import find_queries

    changes = {"twin_prompts": prompts, "twin_strength": strength, "twin_steps": steps}
    loaded = NormalModel.load(model, device=inputs.pick_device(device), changes=changes)
    found, errors = find_queries(queries, None if crop is None else parse_crop(crop)).readable()
    personalizer = Personalizer(loaded, seed=seed)
    total, done = len(found.images), 0
    with going_on(), progress() as watch:
        watch("personalize", 0, total)
        for batch in personalizer.batches(found.images):
            for place, (query, twin) in enumerate(zip(batch.queries, batch.twins, strict=True)):
                name = found.images.names[done + place].replace("/", "__")
                for part, picture in (("twin", to_pil(twin)), ("triptych", triptych(to_pil(query), to_pil(twin)))):
                    path = out / part / f"{name}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    picture.save(path)
            done += len(batch.queries)
            watch("personalize", done, total)
    say(f"{done} twins: {out / 'twin'}; query, twin and difference: {out / 'triptych'}")
    for message in errors.values():
        note(message)
    if errors:
        raise typer.Exit(1)
