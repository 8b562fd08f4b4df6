"""``tiltyard model``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tiltyard.cli.inputs import (
    Levels,
    Named,
    Range,
    by_column,
    load_model,
    read_rows,
    read_times,
    take_target,
    times_by_hand,
    times_of,
)
from tiltyard.cli.output import client, connected, progress, show, show_all
from tiltyard.contract.signature import TASKS

COLUMNS = ("name", "team", "task", "owner", "description")


@click.group()
def model() -> None:
    """Models: a name, a team, a task, and versions that answer."""


@model.command()
@click.argument("name")
@click.option("--team", required=True, help="The team that owns it.")
@click.option("--task", required=True, type=click.Choice(TASKS), help="What it predicts.")
@click.option("--owner", help="Whom to ask about it; you, by default.")
@click.option("--description", default="", help="What it is for.")
@connected
def create(
    name: str,
    team: str,
    task: str,
    owner: str | None,
    description: str,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Create a model without a version."""
    with client(url, token) as tiltyard:
        made = tiltyard.create_model(name, team=team, task=task, owner=owner, description=description)
        show(made.body, as_json=as_json)


@model.command("list")
@connected
def list_models(url: str | None, token: str | None, as_json: bool) -> None:
    """List the models of your teams."""
    with client(url, token) as tiltyard:
        show_all((m.body for m in tiltyard.models()), COLUMNS, as_json=as_json)


@model.command("show")
@click.argument("name")
@connected
def show_model(name: str, url: str | None, token: str | None, as_json: bool) -> None:
    """Show one model."""
    with client(url, token) as tiltyard:
        show(tiltyard.model(name).body, as_json=as_json)


@model.command()
@click.argument("name")
@click.argument("model_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    "data_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Labelled rows that the model was NOT fitted on (.csv or .parquet), the target among the columns.",
)
@click.option("--target", required=True, metavar="COLUMN", help="The column that holds the true values.")
@click.option("--separator", default=",", show_default=True, help="Between the values of a .csv file.")
@click.option("--task", type=click.Choice(TASKS), help="Inferred when left out.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Decision threshold of a binary model; .5 if not given."
)
@click.option(
    "--class",
    "classes",
    multiple=True,
    type=Named(),
    metavar="LABEL=NAME",
    help="What a class is called; for every class of the model.",
)
@click.option("--sensitive", multiple=True, metavar="COLUMN", help="A sensitive attribute; may be repeated.")
@click.option("--personal", multiple=True, metavar="COLUMN", help="Personal data; may be repeated.")
@click.option(
    "--calendar", multiple=True, metavar="COLUMN", help="A column that follows the date; may be repeated."
)
@click.option(
    "--nullable",
    multiple=True,
    metavar="COLUMN",
    help="A column that may be missing although no row of --data lacks it; may be repeated.",
)
@click.option(
    "--categories",
    multiple=True,
    type=Levels(),
    metavar="COLUMN=A,B",
    help="Levels beyond those in --data that may come without a warning; may be repeated.",
)
@click.option(
    "--range",
    "ranges",
    multiple=True,
    type=Range(),
    metavar="COLUMN=LOW:HIGH",
    help="Values beyond those in --data that may come without a warning; may be repeated.",
)
@click.option("--subject", metavar="COLUMN", help="The person a row is about.")
@click.option("--time", metavar="COLUMN", help="When the row happened; in a .csv, RFC 3339.")
@click.option(
    "--tolerance",
    type=float,
    metavar="SHARE",
    help="Share of rows whose answer may differ from the estimator's; .001 if not given, at most .05.",
)
@click.option(
    "--contract",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of an .onnx file: its data contract as JSON, instead of one inferred from --data.",
)
@click.option(
    "--output",
    type=click.Choice(["probabilities", "logits"]),
    default="probabilities",
    show_default=True,
    help="Of an .onnx classifier: what its output holds.",
)
@click.option(
    "--trained-on",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that it was fitted on, recorded by its SHA-256; may be repeated.",
)
@click.option("--run", metavar="ID", help="Your own id of the run that fitted it, such as an MLflow run's.")
@click.option("--team", metavar="TEAM", help="The owning team, when the model is to be created.")
@click.option("--owner", help="Whom to ask about it, when the model is to be created; you, by default.")
@click.option("--description", default="", help="What is new about this version.")
@click.option("--wait/--no-wait", default=True, help="Wait until it has been examined.")
@connected
def register(
    name: str,
    model_file: Path,
    data_file: Path,
    target: str,
    separator: str,
    classes: tuple[tuple[str, str], ...],
    categories: tuple[tuple[str, list[str]], ...],
    ranges: tuple[tuple[str, tuple[float, float]], ...],
    trained_on: tuple[Path, ...],
    url: str | None,
    token: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Make MODEL_FILE a version of NAME that can be promoted.

    MODEL_FILE is an .onnx file, or a fitted estimator saved by joblib or pickle.
    Loading the latter runs code that the file holds, here, as you: only load
    files that you trust. The service never does.

    The rows of --data must be ones that the model was NOT fitted on: production
    is compared with them.
    """
    with client(url, token) as tiltyard:
        fitted = load_model(model_file)
        rows, outcomes = take_target(read_rows(data_file, separator=separator), target, data_file)
        times = [*times_of(fitted, settings["time"]), *times_by_hand(settings["contract"])]
        made = tiltyard.register(
            name,
            fitted,
            data=read_times(rows, times, data_file),
            target=outcomes,
            classes=by_column(classes) or None,
            categories=by_column(categories),
            ranges=by_column(ranges),
            trained_on=list(trained_on) or None,
            progress=progress,
            **settings,
        )
        show(made.body, as_json=as_json)
        progress(f"Promote it: tiltyard champion promote {name}/{made.version} --reason …")
