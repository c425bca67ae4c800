"""`watchword policies`."""

import typer

from pipeline.cli.policies import (
    background,
    backtest,
    calibrate,
    check,
    diff,
    examples,
    fit_head,
    history,
    label,
    lint,
    measure,
    new,
    promote,
    publish,
    recall,
    rollback,
    schema,
)

app = typer.Typer(help="Write, check, test, publish and roll back policies.", no_args_is_help=True)
app.command()(publish.publish)
app.command()(history.history)
app.command()(diff.diff)
app.command()(rollback.rollback)
app.command()(promote.promote)
app.command()(backtest.backtest)
app.command()(new.new)
app.command()(check.check)
app.command()(lint.lint)
app.command(name="test")(examples.check_examples)
app.command()(schema.schema)
app.command()(background.background)
app.command()(measure.measure)
app.command()(calibrate.calibrate)
app.command(name="fit-head")(fit_head.fit_head)
app.command()(recall.recall)
app.command()(label.label)
