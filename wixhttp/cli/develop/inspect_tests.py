"""``wixhttp inspect to-test``: a pytest file of kept requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wixhttp.cli.arguments.file_names import FILE
from wixhttp.cli.exit_codes import FAILED

from .inspect import found, opened
from .inspect_replay import prints_aside, quiet_log

if TYPE_CHECKING:
    from wixhttp.dev.traffic.kept_requests import KeptRequest
    from wixhttp.dev.traffic.tried_tests import TriedCase


@click.command("to-test")
@click.argument("names", nargs=-1, required=True, metavar="ID...")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=FILE,
    default="tests/test_traffic.py",
    show_default=True,
    help="- is standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.option("--no-run", is_flag=True, help="Do not try the requests; the test then has no items of collections.")
@click.pass_context
def to_test(context: click.Context, names: tuple[str, ...], output: str, force: bool, no_run: bool) -> None:
    """Write a test of kept requests, for pytest: it sends them through the test kit, and asserts what they got.

    Each request is tried first: the project's code answers it as in the test, on collections in memory that begin with
    the items that the project had when it came. So the test is known to pass, and has the items that it needs. What the
    code does elsewhere, such as a request to another server, it does then, too; --no-run leaves that out.
    """
    store = opened(context)
    requests = [found(store, name) for name in names]
    target = Path(output)
    if output != "-":
        _refuse_existing(target, force)
    with prints_aside():
        tried = _tried(context, requests, no_run)
    _write(tried, output, force)
    failing = [each for each in tried if _tell(each)]
    if failing:
        context.exit(FAILED)


def _refuse_existing(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise click.ClickException(f"{target} is there already; --force overwrites it, -o names another file")


def _tried(context: click.Context, requests: list[KeptRequest], no_run: bool) -> list[TriedCase]:
    from wixhttp.dev.traffic.to_test import CannotTest, TestCase, write_tests
    from wixhttp.dev.traffic.trial import AskedSecrets, Trial, items_before
    from wixhttp.dev.traffic.tried_tests import TriedCase, try_case
    from wixhttp.project.config import load_config
    from wixhttp.secrets import override

    config = load_config(context.obj)
    secrets: dict[str, str] = {}
    store = AskedSecrets.of(config, secrets)
    tried = []
    with override(store):
        if not no_run:
            quiet_log()
        trial = None if no_run else Trial(config)
        for kept in requests:
            try:
                if trial is None:
                    tried.append(TriedCase(TestCase.of(kept, secrets), [], []))
                else:
                    tried.append(try_case(kept, trial, items_before(config, kept.time), secrets))
                write_tests([tried[-1].case], "x")  # where it cannot be written, the request is named
            except CannotTest as error:
                raise click.ClickException(f"no test can be made of request {kept.id}: {error}") from None
    return tried


def _write(tried: list[TriedCase], output: str, force: bool) -> None:
    from wixhttp.dev.traffic.to_test import write_tests

    target = Path(output)
    cases = [each.case for each in tried]
    text, files = write_tests(cases, target.stem if output != "-" else "")
    if output == "-":
        click.echo(text, nl=False)
        return
    folder = target.parent / target.stem
    written = {folder / name: data for name, data in files.items()} | {target: text.encode()}
    for path in written:
        _refuse_existing(path, force)
    for path, data in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    count = len(cases)
    beside = f", and {len(files)} file{'s' * (len(files) != 1)} in {folder}" if files else ""
    click.echo(f"{target}  {count} test{'s' * (count != 1)}{beside}")


def _tell(tried: TriedCase) -> bool:
    """Say what somebody should know of a test; return whether it fails."""
    from .inspect_views import print_differences

    kept = tried.case.kept
    for remark in tried.remarks:
        click.echo(f"Note: request {kept.id}: {remark}", err=True)
    if tried.case.left_out:
        names = ", ".join(tried.case.left_out)
        click.echo(
            f"Note: request {kept.id}: the test does not send {names}, which is no secret of the project", err=True
        )
    if tried.differences:
        click.secho(
            f"Warning: the test of request {kept.id} fails now; when it was tried, this differed:",
            fg="yellow",
            err=True,
        )
        print_differences(tried.differences, "  ", err=True)
    return bool(tried.differences)
