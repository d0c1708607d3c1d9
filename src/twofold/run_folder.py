"""The folder of a run: what it holds and under which names."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.files.atomic import write_text, writing
from twofold.files.store import read_ensembles, write_ensembles
from twofold.units import MD_UNITS

FORMAT = "twofold run"
VERSION = 1
PACKAGES = ("twofold", "jax", "jaxlib", "equinox", "optax", "numpy", "mdtraj", "h5py")


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run folder."""

    path: Path

    @property
    def config(self) -> Path:
        """Settings and provenance, JSON."""
        return self.path / "config.json"

    @property
    def data(self) -> Path:
        """Training and held-out ensembles, HDF5."""
        return self.path / "data.h5"

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint, npz."""
        return self.path / "checkpoint.npz"

    @property
    def log(self) -> Path:
        """One JSON object a line."""
        return self.path / "log.jsonl"

    @property
    def model(self) -> Path:
        """Folder of the fitted model."""
        return self.path / "model"

    def title(self, source: dict[str, Any]) -> str:
        """What was fitted and where: "ala2.pdb (demo/run)"; `source` is that of the config."""
        path = self.path.absolute()
        place = path.name if path.name != "run" else f"{path.parent.name}/{path.name}"
        what = source.get("landscape") or source.get("cluster") or Path(str(source.get("topology") or "")).name
        return f"{what} ({place})" if what else place

    def check_new(self) -> None:
        """Raises UserError when something is there already."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            begun = self.config.is_file()
            advice = (
                "choose another --out, or continue it with --resume" if begun else "choose another --out, or remove it"
            )
            raise UserError(f"{self.path} exists already", "a new folder", advice)

    def create(self, training: Ensemble, held_out: Ensemble, config: dict[str, Any]) -> None:
        """Make the folder. Raises UserError when it exists and is not empty, or the disk is full, and leaves none."""
        self.check_new()
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            write_ensembles(self.data, [training, held_out])
            self.write_config(config)
        except BaseException:
            self.data.unlink(missing_ok=True)
            self.path.rmdir()
            raise

    def write_config(self, config: dict[str, Any]) -> None:
        """Write settings with format, units and versions."""
        head = {"format": FORMAT, "version": VERSION, "units": MD_UNITS, "versions": versions()}
        write_text(self.config, json.dumps(head | config, indent=1), overwrite=True)

    def read_config(self) -> dict[str, Any]:
        """Settings of the run. Raises UserError when the folder is no run."""
        if not self.config.is_file():
            raise UserError(f"no run in {self.path} (it has no config.json)", "a folder that twofold fit made")
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{self.config} is not JSON ({error})", "the settings of a run") from error
        if not isinstance(config, dict) or config.get("format") != FORMAT or "settings" not in config:
            raise UserError(f"{self.config} does not hold the settings of a run", f"a file of format {FORMAT!r}")
        if (version := config.get("version")) != VERSION:
            raise UserError(f"{self.config} has version {version}", f"version {VERSION}", "use a matching twofold")
        return config

    def read_data(self) -> tuple[Ensemble, Ensemble]:
        """Training and held-out frames."""
        ensembles = read_ensembles(self.data)
        if len(ensembles) != 2:
            raise UserError(f"{self.data} holds {len(ensembles)} ensembles", "training and held-out frames")
        return ensembles[0], ensembles[1]

    def append_log(self, entry: dict[str, Any]) -> None:
        """Add a line to the log. Raises UserError when the disk is full."""
        with writing(self.log), self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def trim_log(self, step: int) -> None:
        """Drop the lines after `step`, which a resumed run will write again."""
        kept = [json.dumps(entry) for entry in self.read_log() if entry["step"] <= step]
        write_text(self.log, "".join(line + "\n" for line in kept), overwrite=True)

    def read_log(self) -> list[dict[str, Any]]:
        """Lines of the log; a last one that was cut off is left out."""
        entries = []
        for line in self.log.read_text(encoding="utf-8").splitlines() if self.log.is_file() else []:
            try:
                entries.append(json.loads(line))
            except ValueError:
                break
        return entries


def versions() -> dict[str, str]:
    """Versions of Python and the packages that decide results."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
