"""``tiltyard predict``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO, get_args

import click

from tiltyard.cli.output import client, connected, progress
from tiltyard.cli.reporter import Reporter
from tiltyard.client import Client
from tiltyard.client.files.chunks import Format, Rows
from tiltyard.client.files.layout import Layout
from tiltyard.client.files.reading import format_of, open_rows
from tiltyard.client.files.scoring import Answered, Question, Scorer, carried, check_columns
from tiltyard.client.files.values import Preparer
from tiltyard.client.files.writing import JsonAnswers, Results
from tiltyard.client.rows import MAX_ROWS
from tiltyard.contract.signature import Signature
from tiltyard.errors import InvalidBundle, InvalidInput, NotFound, TiltyardError

STDIN = "-"
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


@click.command()
@click.argument("model", metavar="MODEL[@ALIAS]")
@click.argument("file", metavar="FILE|-")
@click.option("--version", type=click.IntRange(min=1), help="Ask this version instead of the champion.")
@click.option("-o", "--output", metavar="FILE", help="Where the results go; standard output by default.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(get_args(Format)),
    help="The format of FILE, when its name doesn't say (.csv, .tsv, .ndjson, .jsonl, .parquet).",
)
@click.option("--encoding", help="The encoding of CSV or NDJSON; UTF-8 by default, with or without its mark.")
@click.option(
    "--separator", type=click.Choice(tuple(SEPARATORS)), help="Of CSV; found in the first line by default."
)
@click.option(
    "--null",
    "nulls",
    multiple=True,
    metavar="TEXT",
    help="A text of CSV that means missing; repeatable.",
)
@click.option("--id-column", metavar="COLUMN", help="Names of the rows, by which outcomes find them later.")
@click.option("--time-column", metavar="COLUMN", help="When the rows happened; now, when left out.")
@click.option("--prefix", default="", help="Put this in front of the names of the added columns.")
@click.option("--explain", is_flag=True, help="Say which columns moved each answer (20 rows a request).")
@click.option(
    "--keep-going", is_flag=True, help="Answer the other rows when one is refused; column `refusal` says why."
)
@click.option("--skip", default=0, type=click.IntRange(min=0), help="Pass over so many rows at first.")
@click.option(
    "--batch",
    "batch_rows",
    default=MAX_ROWS,
    show_default=True,
    type=click.IntRange(1, MAX_ROWS),
    help="Rows a request, at most.",
)
@click.option(
    "--parallel",
    default=2,
    show_default=True,
    type=click.IntRange(1, 32),
    help="Requests at a time.",
)
@click.option("--progress/--no-progress", "shows", default=None, help="Shown on a terminal by default.")
@connected
def predict(
    model: str,
    file: str,
    version: int | None,
    output: str | None,
    format_: Format | None,
    encoding: str | None,
    separator: str | None,
    nulls: Sequence[str],
    prefix: str,
    skip: int,
    parallel: int,
    shows: bool | None,
    url: str | None,
    token: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Answer the rows of FILE, or of standard input (-).

    FILE is CSV with a first line that names the columns, NDJSON, or Parquet. The
    results come in the same format: the rows as they are, and behind them columns
    such as prediction, score, set, warnings and action. Columns that the model
    doesn't know are carried along. Files may be larger than memory.

    A row that breaks the model's contract ends the command and is named with its
    line and column; what was answered before it is kept.
    """
    if version is not None and "@" in model:
        raise click.UsageError("An alias names a version already: leave out --version, or the alias.")
    source = Source(file, _format(file, format_), encoding, SEPARATORS.get(separator or ""), nulls)
    _check_output(source, output, as_json=as_json)
    question = Question(model, version, keeps_going=asked.pop("keep_going"), **asked)
    settings = {
        "prefix": prefix,
        "explains": question.explain,
        "has_ids": question.id_column is not None,
        "may_refuse": question.keeps_going,
    }
    reporter = Reporter(sys.stderr.isatty() if shows is None else shows)
    with client(url, token) as tiltyard, _input(file) as stream:
        signature = _signature(tiltyard, model, version)
        rows = source.open(stream, signature, question)
        scorer = Scorer(tiltyard, question, rows, source.preparer(rows, signature, question))
        layout = None if signature is None else Layout.of(signature, **settings)
        with _output(output) as out:
            results = JsonAnswers(out) if as_json else Results(rows, out, layout=layout, settings=settings)
            _run(scorer.outcomes(parallel=parallel, skip=skip), results, reporter, output=output, skip=skip)
        reporter.end(output)


@dataclass(frozen=True, slots=True)
class Source:
    """A file of rows as it was named; `separator` is None where the first line is to tell."""

    file: str
    format: Format
    encoding: str | None
    separator: str | None
    nulls: Sequence[str]

    @property
    def name(self) -> str:
        return "standard input" if self.file == STDIN else self.file

    def open(self, stream: BinaryIO, signature: Signature | None, question: Question) -> Rows:
        """Its rows; refused when columns that are needed aren't there."""
        known = () if signature is None else tuple(column.name for column in signature.columns)
        rows = open_rows(
            stream,
            self.name,
            self.format,
            encoding=self.encoding,
            separator=self.separator or ("\t" if self.file.endswith(".tsv") else None),
            wanted={*known, *(b for b in (question.id_column, question.time_column) if b is not None)},
        )
        _look_at_columns(rows, signature, question)
        return rows

    def preparer(self, rows: Rows, signature: Signature | None, question: Question) -> Preparer:
        return Preparer(
            signature,
            is_text=rows.is_text,
            nulls=self.nulls,
            ids=question.id_column,
            times=question.time_column,
        )


def _run(
    answers: Iterator[Answered],
    results: Results | JsonAnswers,
    reporter: Reporter,
    *,
    output: str | None,
    skip: int,
) -> None:
    """Write the answers as they come; an error says first how much is kept and how to go on."""
    try:
        for answered in answers:
            results.write(answered)
            reporter.add(answered)
    except (TiltyardError, KeyboardInterrupt):
        results.close()
        reporter.clear()
        if reporter.rows:
            kept = f"{reporter.rows:,} rows before are answered{_kept(output)}; "
            progress(f"{kept}go on after them with --skip {skip + reporter.rows}.")
        raise
    results.close()


def _signature(tiltyard: Client, model: str, version: int | None) -> Signature | None:
    """The contract of the version that will answer; None from a service too old to tell one."""
    name, _, alias = model.partition("@")
    if version is None:
        version = tiltyard.alias(name, alias).version if alias else tiltyard.champion(name).version
    else:
        tiltyard.version(name, version)  # raises if it isn't there
    try:
        return tiltyard.contract(name, version).signature
    except (NotFound, InvalidBundle):
        progress(
            f"This service tells no contract of {name}/{version} that this client can read: "
            "every column is sent, and the types of CSV are guessed."
        )
        return None


def _look_at_columns(rows: Rows, signature: Signature | None, question: Question) -> None:
    """Refuse a file without the columns that are needed, and say what is read how."""
    separator = getattr(rows, "separator", ",")
    if separator != ",":
        said = next(name for name, text in SEPARATORS.items() if text == separator)
        progress(f"{rows.name} is read as separated by {separator!r} (--separator {said}).")
    if rows.columns is None:
        return
    for option, column in (("--id-column", question.id_column), ("--time-column", question.time_column)):
        if column is not None and column not in rows.columns:
            there = ", ".join(rows.columns)
            raise InvalidInput(f"{rows.name} has no column {column!r} for {option}; it has {there}.")
    if signature is None:
        return
    check_columns(rows.columns, signature, name=rows.name, model=question.model)
    beside = (question.id_column, question.time_column)
    if unread := carried(rows.columns, signature, beside=beside):
        progress(f"Carried along, for {question.model} doesn't know them: {', '.join(unread)}.")


def _format(file: str, given: Format | None) -> Format:
    found = given or format_of(file)
    if found is None:
        named = "standard input" if file == STDIN else file
        raise click.UsageError(f"Which format has {named}? Say --format csv, ndjson or parquet.")
    return found


def _check_output(source: Source, output: str | None, *, as_json: bool) -> None:
    if output is None:
        if source.format == "parquet" and not as_json and sys.stdout.isatty():
            raise click.UsageError("Parquet is nothing to read on a terminal: say --output FILE.")
        return
    if all(map(os.path.exists, (source.file, output))) and os.path.samefile(source.file, output):
        raise click.UsageError("--output would overwrite the rows themselves: name another file.")
    if not as_json and format_of(output) not in (None, source.format):
        raise click.UsageError(f"The results have the format of the rows, {source.format}: name --output so.")


@contextmanager
def _input(file: str) -> Iterator[BinaryIO]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed below; only opening it may fail here
    except OSError as exc:
        raise InvalidInput(f"{file} can't be read: {exc.strerror}.") from exc
    with stream:
        yield stream


@contextmanager
def _output(output: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that gets its name once it is whole; until then it is ``FILE.part``."""
    if output is None:
        yield sys.stdout
        return
    part = Path(_part(output))
    try:
        out = part.open("w", encoding="utf-8", newline="")
    except OSError as exc:
        raise InvalidInput(f"{output} can't be written: {exc.strerror}.") from exc
    try:
        with out:
            yield out
    except BaseException:
        if part.stat().st_size == 0:
            part.unlink()
        raise
    part.replace(output)


def _part(output: str) -> str:
    return f"{output}.part"


def _kept(output: str | None) -> str:
    return "" if output is None else f", in {_part(output)}"
