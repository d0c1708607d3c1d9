"""The example in the README runs as it stands there, and what the README points to exists."""

import re
from pathlib import Path

import pytest

from twofold import packaged
from twofold.errors import UserError

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PICTURES = {"docs/demo.png"}
"""Made by the demo; looked for only where they have been made."""


def packaged_data() -> bool:
    try:
        return all(path.is_file() for path in packaged.ala2().paths)
    except UserError:
        return False


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(not packaged_data(), reason="the packaged trajectories are not installed")
def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = code_blocks("python")
    names: dict = {}
    exec(compile(example, str(README), "exec"), names)
    assert names["samples"].positions.shape == (200, 5, 3)
    assert names["forces"].shape == (200, 5, 3)
    assert names["energies"].shape == (200,)
    assert names["model"].beads.names == ("C", "N", "CA", "C", "N")
    assert "of 10 replicas are stable" in capsys.readouterr().out
    made = {path.suffix for path in tmp_path.glob("ala2-md.*")}
    assert made >= {".xtc", ".pdb", ".csv", ".h5"}


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT) for path in [README, *ROOT.glob("docs/*.md")]), ids=str)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = {target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target}
    missing = [target for target in targets - {""} if not ((ROOT / page).parent / target).exists()]
    assert set(missing) <= PICTURES, missing


def test_the_commands_of_the_readme_exist():
    from twofold.cli.commands import COMMANDS

    named = set(re.findall(r"^\s*twofold (\w+)", "\n".join(code_blocks("")), flags=re.MULTILINE))
    named |= set(re.findall(r"^\| `twofold (\w+)`", README.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named >= {"fit", "sample", "simulate", "evaluate", "prepare"}
    assert named <= {name.split()[0] for name in COMMANDS}
