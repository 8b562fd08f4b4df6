"""``tiltyard model``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiltyard.cli.output import client, connected, progress, show, show_all
from tiltyard.contract.signature import TASKS
from tiltyard.errors import Fault, InvalidInput

if TYPE_CHECKING:
    import pandas as pd

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
@click.option("--target", required=True, help="The column that holds the true values.")
@click.option("--task", type=click.Choice(TASKS), help="Inferred when left out.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Decision threshold of a binary model; .5 if not given."
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
@click.option("--subject", metavar="COLUMN", help="The person a row is about.")
@click.option("--time", metavar="COLUMN", help="When the row happened.")
@click.option("--team", help="The owning team, when the model is to be created.")
@click.option("--description", default="", help="What is new about this version.")
@click.option("--wait/--no-wait", default=True, help="Wait until it has been examined.")
@connected
def register(
    name: str,
    model_file: Path,
    data_file: Path,
    target: str,
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
        frame = read_rows(data_file)
        if target not in frame.columns:
            raise InvalidInput(
                f"{data_file} has no column {target!r}.",
                faults=[Fault("/target", f"the columns are {', '.join(map(str, frame.columns))}")],
            )
        made = tiltyard.register(
            name,
            load_model(model_file),
            data=frame.drop(columns=[target]),
            target=frame[target],
            progress=progress,
            **settings,
        )
        show(made.body, as_json=as_json)
        progress(f"Promote it: tiltyard champion promote {name}/{made.version} --reason …")


def load_model(path: Path) -> object:
    """A fitted estimator from joblib or pickle, or the path of an ONNX file, which holds no code."""
    if path.suffix == ".onnx":
        return path
    joblib = _extra("joblib")
    progress(f"Loading {path} runs code that it holds; only load files that you trust.")
    try:
        return joblib.load(path)
    except Exception as exc:  # a pickle may raise anything
        raise InvalidInput(
            f"{path} can't be loaded as an estimator ({type(exc).__name__}: {exc}). "
            "Save it with joblib.dump, and load it with the same library versions."
        ) from exc


def read_rows(path: Path) -> pd.DataFrame:
    """Rows of a .csv or .parquet file."""
    pandas = _extra("pandas")
    try:
        frame: pd.DataFrame = (
            pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_csv(path)
        )
    except ImportError as exc:
        raise InvalidInput(
            "Reading .parquet needs pyarrow: pip install 'tiltyard[parquet]', or save the rows as .csv."
        ) from exc
    except (ValueError, OSError) as exc:
        raise InvalidInput(f"{path} can't be read as {path.suffix or 'CSV'}: {exc}.") from exc
    return frame


def _extra(package: str) -> Any:
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError as exc:
        raise InvalidInput(f"Registering needs {package}: pip install 'tiltyard[training]'.") from exc
