"""`watchword policies`: look after the policy files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.policies import releases

# As in pipeline.policies.json_schema, which is imported only when it is run.
FileKind = Literal["policy", "shared", "background"]

app = typer.Typer(help="Look after policy files.", no_args_is_help=True)
app.add_typer(releases.app)


@app.command()
def check(folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies")) -> None:
    """
    Read a folder of policies and say what is wrong, as file:line:column.

    Example: `watchword policies check policies`
    """
    from pipeline.cli.console import output
    from pipeline.policies.load import load_policy_set

    policy_set, console = load_policy_set(folder), output()
    for policy in policy_set.policies:
        note = " (provisional)" if policy.provisional else ""
        console.print(f"{policy.id:28}{policy.mode.value:9}{policy.score.value:11} {policy.threshold:8.3f}{note}")
    console.print(f"policy set {policy_set.digest}")


@app.command()
def lint(
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    format: Annotated[str, typer.Option(help="`text`, `json`, `sarif` or `github`.")] = "text",  # noqa: A002 -- the option's name
) -> None:
    """
    Say what the model will get wrong about policies: negation, texts cut short, words it hardly knows, duplicates.

    The model is `WATCHWORD_MODEL`. A policy silences a rule with a reason: `silence: { negation: a brand's name }`.

    Exit codes: 0 nothing but notes, 1 errors or warnings, 2 the folder cannot be read.

    Example: `watchword policies lint policies --format github`
    """
    from pipeline.cli.policies.lint import run_lint

    raise typer.Exit(run_lint(folder, format))


@app.command(name="test")
def try_examples(
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    policy: Annotated[str | None, typer.Option(help="Only this policy's examples.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write the results as JUnit's XML.")] = None,
) -> None:
    """
    Try policies on their own examples, with the encoder in process.

    A policy lists images beside its file and what it must say of them:
    `examples: [{ image: examples/toy.jpg, flag: false, why: it is a toy }]`

    Exit codes: 0 every policy says what it must, 1 one does not, 2 error.

    Example: `watchword policies test policies --junit policies.xml`
    """
    from pipeline.cli.policies.examples import run_examples

    raise typer.Exit(run_examples(folder, only=policy, junit=junit))


@app.command()
def schema(
    file: Annotated[
        FileKind, typer.Option(help="Which file: a policy's, `shared.yaml` or `background.yaml`.")
    ] = "policy",
) -> None:
    """
    Print the JSON Schema of policy files, for editors to complete and check by.

    Example: `watchword policies schema > policy.schema.json`, and as a policy's first line
    `# yaml-language-server: $schema=policy.schema.json`
    """
    from pipeline.cli.reference import schema_page

    typer.echo(schema_page(file), nl=False)


@app.command()
def measure(
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    data: Annotated[Path, typer.Option(help="Folder with labels.csv and policy_labels.yaml.")] = Path("samples"),
    split: Annotated[str, typer.Option(help="Which split; `test` is for final figures only.")] = "val",
) -> None:
    """
    Say how each policy does on labelled photographs, and which threshold has the best F1.

    Example: `watchword policies measure policies --data samples --split val`
    """
    from pipeline.cli.policies.measure import run_measure

    run_measure(folder, data, split)


@app.command()
def calibrate(
    policy: Annotated[str, typer.Argument(help="The policy, or child of one, whose threshold to fit.")],
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    labels: Annotated[Path | None, typer.Option(help="Labelled stream: CSV or JSON Lines, as for `replay`.")] = None,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="Labels are what people decided, of images in the archive.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="Only rows whose `split` is this.")] = None,
    base_rate: Annotated[
        float | None, typer.Option(help="Share of the stream that is right, where labels have no `probability`.")
    ] = None,
    watched: Annotated[
        bool, typer.Option("--watched", help="It will be fitted again as labels are added: test so that this is safe.")
    ] = False,
    images: Annotated[
        Path | None, typer.Option(help="For a queue: a sample of the stream.  [default: its embeddings' topic]")
    ] = None,
    per_day: Annotated[float | None, typer.Option(help="For a queue: images a day of the stream.")] = None,
) -> None:
    """
    Fit a threshold to what its policy asks for, and write it beside the policy with its evidence.

    `threshold: { precision: 0.95, confidence: 0.95 }` takes labels, and gets the lowest threshold they show to be that
    precise: near-duplicates count once, and looking for the lowest is paid for. With `--decisions` labels are what
    people decided, and embeddings come from the archive: no image is needed. `threshold: { queue: 200/day }` takes
    images without labels. What it was fitted on is kept as digests: once the prompts, the model, the target or the
    labels change, worker and lint say so and the threshold is provisional.

    Exit codes: 0 written, 1 the labels do not support a threshold, 2 error.

    Examples: `watchword policies calibrate weapons.firearms --labels labels.csv --base-rate 0.001` ·
    `watchword policies calibrate weapons.firearms --decisions` ·
    `watchword policies calibrate weapons.firearms --images uploads --per-day 20000`
    """
    from pipeline.cli.policies.calibrate import run_calibrate

    code = run_calibrate(
        folder,
        policy,
        labels=labels,
        split=split,
        base_rate=base_rate,
        watched=watched,
        images=images,
        per_day=per_day,
        decisions=decisions,
    )
    raise typer.Exit(code)


@app.command(name="fit-head")
def fit_linear_head(
    policy: Annotated[str, typer.Argument(help="The policy, written by words so far.")],
    labels: Annotated[Path, typer.Option(help="Labelled stream: CSV or JSON Lines, as for `replay`.")],
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    split: Annotated[str | None, typer.Option(help="Only rows whose `split` is this.")] = None,
) -> None:
    """
    Fit a linear score on embeddings to labels, for a harm that words do not separate.

    It is written to `heads/` beside the policy, and says whether it ranks labels that it has not seen better than the
    policy's words do. The policy then says `score: linear` and which `head`.

    Example: `watchword policies fit-head weapons.firearms --labels labels.csv`
    """
    from pipeline.cli.policies.fit_head import run_fit_head

    run_fit_head(folder, policy, labels, split)


@app.command()
def recall(
    labels: Annotated[Path, typer.Argument(help="Labelled stream: every flagged image, and those drawn for an audit.")],
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    split: Annotated[str | None, typer.Option(help="Only rows whose `split` is this.")] = None,
) -> None:
    """
    Say how much of what should be flagged is, with an interval, from an audit of what was not flagged.

    `audit: { per_day: 200 }` has workers draw images under a policy's threshold; the verdict keeps the probability,
    which a row's `probability` repeats. Every image that any labelled policy flagged must be there. With fewer than ten
    misses found the answer is "unknown".

    Example: `watchword policies recall audited.csv`
    """
    from pipeline.cli.policies.recall import run_recall

    run_recall(folder, labels, split)


@app.command()
def backtest(
    after: Annotated[str, typer.Argument(help="The edit: a folder, a version or a set's digest.")] = "policies",
    before: Annotated[str, typer.Option(help="What to compare with: the same, or `current`.")] = "current",
    since: Annotated[str, typer.Option(help="How far to look back: `7d`, `12h`, `2w`, or a day.")] = "7d",
    sample: Annotated[str | None, typer.Option(help="First say what this share shows, such as `1%`.")] = None,
    only_sample: Annotated[bool, typer.Option("--only-sample", help="And leave it at that.")] = False,
    decisions: Annotated[bool, typer.Option("--decisions", help="Hold both sets against what people decided.")] = False,
    engine: Annotated[
        str, typer.Option(help="`threads`, or over fragments: `daft`, `ray`, a cluster `ray://host:port`.")
    ] = "threads",
    format: Annotated[str, typer.Option(help="`table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Say what an edit would have done to what was archived: newly flagged, newly cleared, and the queue a day.

    `--decisions` weighs what people decided by how it was drawn; what is newly flagged and nobody looked at is
    unjudged, not wrong.

    Exit codes: 0 nothing would have changed, 1 something would, 2 error.

    Examples: `watchword policies backtest policies --since 7d` ·
    `watchword policies backtest edited --before policies --sample 1%`
    """
    from pipeline.extras import models_extra

    with models_extra("archive"):
        from pipeline.cli.policies.backtest import Asked, run_backtest

    raise typer.Exit(run_backtest(after, before, Asked(since, sample, only_sample, decisions, engine), format))


@app.command()
def label(
    policy: Annotated[str, typer.Argument(help="The policy, edited or in force, that images are labelled for.")],
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    before: Annotated[
        str | None, typer.Option(help="What an edit is compared with.  [default: what is in force, if anything]")
    ] = None,
    since: Annotated[str, typer.Option(help="How far to look back: `7d`, `12h`, `2w`, or a day.")] = "7d",
    count: Annotated[int, typer.Option(min=1, help="How many images to draw; stop before whenever you like.")] = 300,
    out: Annotated[Path | None, typer.Option(help="File for the decisions.  [default: a new one here]")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Who decides.  [default: you]")] = None,
    port: Annotated[int, typer.Option(help="Port of the page, on this machine only.  [default: a free one]")] = 0,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 1,
) -> None:
    """
    Look at a sample of the archive, by keyboard, and see what precision, threshold and edit are worth.

    The sample is drawn by score, most of all where the edit flips an image, and weighted by how it was drawn. Pictures
    are not sent to the page before they are asked for. Originals come from their records or from where those refer to,
    as long as they can be had. Decisions go to a file after each answer, and to the decisions' topic when you finish.

    Example: `watchword policies label weapons.firearms --policies edited --since 30d`
    """
    from pipeline.extras import models_extra

    with models_extra("archive"):
        from pipeline.cli.policies.label import Wanted, run_label

    run_label(Wanted(policy, folder, before, since, count, seed, port, out, reviewer))
