"""What the tests of ``fastimg fuse`` share."""

from click.testing import CliRunner

from fastimg.cli import main


def run(*arguments, command="fuse"):
    return CliRunner().invoke(main, [command, *map(str, arguments)])


def done(*arguments, command="fuse"):
    """Run something that must succeed, and return what it prints."""
    result = run(*arguments, command=command)
    assert result.exit_code == 0, result.output
    return result.output
