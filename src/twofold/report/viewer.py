"""The rotatable view of the structures, and the flat picture that takes its place on paper and without WebGL."""

import base64
import json
from collections.abc import Sequence
from html import escape
from importlib import resources

import numpy as np

from twofold.report.content import SET_NAMES, ReportContent, StructureSet
from twofold.report.svg import Plot

SHOWN = ("reference", "samples", "simulation", "basin")
FRAMES = 60
OVERLAY = 15
MOST_BEADS = 4000


def superpose(positions: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(frames, beads, 3): each frame centred and rotated onto `target` (beads, 3) with the least RMSD (Kabsch 1976)."""
    centred = positions - positions.mean(1, keepdims=True)
    target = target - target.mean(0)
    left, _, right = np.linalg.svd(np.einsum("fbi,bj->fij", centred, target))
    flip = np.ones((len(centred), 3))
    flip[:, 2] = np.sign(np.linalg.det(left @ right))
    rotation = np.einsum("fik,fk,fkj->fij", left, flip, right)
    return np.einsum("fbi,fij->fbj", centred, rotation)


def chosen_frames(item: StructureSet, number: int) -> tuple[np.ndarray, bool]:
    """Indices of frames to show, and whether they are one replica in order of time.

    A simulation is shown as consecutive frames of its first replica; all else as a draw by weight, evenly spaced
    over the cumulative weight, so that nothing depends on chance.
    """
    finite = np.isfinite(item.positions).all(axis=(1, 2))
    if not finite.all():
        good = np.flatnonzero(finite)
        index, ordered = chosen_frames(_selected(item, good), number)
        return good[index], ordered
    frames = len(item.positions)
    if not frames:
        return np.zeros(0, int), False
    if item.key in ("simulation", "basin") and item.trajectory is not None:
        trajectory = np.asarray(item.trajectory)
        index = np.flatnonzero(trajectory == trajectory[0])
        if len(index) >= 10:
            return index[np.unique(np.linspace(0, len(index) - 1, min(number, len(index))).astype(int))], True
    weights = np.ones(frames) if item.weights is None else np.maximum(np.asarray(item.weights, float), 0)
    cumulative = np.cumsum(weights) / max(weights.sum(), 1e-300)
    at = (np.arange(min(number, frames)) + 0.5) / min(number, frames)
    index = np.minimum(np.searchsorted(cumulative, at), frames - 1)
    return index, False


def _selected(item: StructureSet, index: np.ndarray) -> StructureSet:
    weights, trajectory = (
        None if column is None else np.asarray(column)[index] for column in (item.weights, item.trajectory)
    )
    return StructureSet(item.key, item.positions[index], weights, trajectory, item.total_frames)


def _shown_sets(content: ReportContent) -> list[StructureSet]:
    """Sets with at least one finite frame."""
    return [item for item in content.drawn(*SHOWN) if np.isfinite(item.positions).all(axis=(1, 2)).any()]


def _overlay_order(count: int) -> list[int]:
    """Indices 0..count-1 such that the first few are spread over all of them."""
    return sorted(range(count), key=lambda index: (index * 0.6180339887498949) % 1.0)


def payload(content: ReportContent) -> dict | None:
    """What the viewer draws: names, bonds, and each set's frames as integers in picometres (base64 of int16)."""
    sets = _shown_sets(content)
    if not sets or len(content.beads) > MOST_BEADS:
        return None
    beads = len(content.beads)
    number = max(2, min(FRAMES, 60_000 // beads))
    target = _target(sets[0])
    drawn = []
    for item in sets:
        index, ordered = chosen_frames(item, number)
        frames = superpose(np.asarray(item.positions[index], float), target)
        raw = np.clip(np.rint(frames * 1e3), -32767, 32767).astype("<i2")
        drawn.append(
            {
                "key": item.key,
                "name": SET_NAMES[item.key],
                "frames": len(raw),
                "ordered": ordered,
                "overlay": _overlay_order(len(raw)),
                "pm": base64.b64encode(raw.tobytes()).decode(),
            }
        )
    names = [f"{n} {r}{i}" for n, r, i in _labels(content)]
    bonds = np.asarray(content.beads.bonds, int).reshape(-1, 2).tolist()
    return {"beads": beads, "names": names, "bonds": bonds, "sets": drawn, "overlay": OVERLAY}


def _labels(content: ReportContent) -> list[tuple[str, str, int]]:
    beads = content.beads
    return list(zip(beads.names, beads.residue_names, beads.residue_ids.tolist(), strict=True))


def _target(item: StructureSet) -> np.ndarray:
    """The frame with the largest weight, turned so that its longest axes lie in the plane of the screen."""
    weights = np.ones(len(item.positions)) if item.weights is None else np.asarray(item.weights, float)
    best = int(np.argmax(np.where(np.isfinite(item.positions).all(axis=(1, 2)), weights, -1.0)))
    frame = np.asarray(item.positions[best], float)
    frame = frame - frame.mean(0)
    _, _, axes = np.linalg.svd(frame, full_matrices=True)
    axes[2] *= np.sign(np.linalg.det(axes))
    return frame @ axes.T


def flat_panels(content: ReportContent, number: int = OVERLAY) -> list[str]:
    """Overlays of each set in projection, as SVG."""
    sets = _shown_sets(content)
    if not sets:
        return []
    target = _target(sets[0])
    clouds = []
    for item in sets:
        index, _ = chosen_frames(item, number)
        clouds.append(superpose(np.asarray(item.positions[index], float), target)[:, :, :2])
    points = np.concatenate([cloud.reshape(-1, 2) for cloud in clouds])
    half = max(float(np.abs(points).max(initial=0.1)) * 1.1, 1e-3)
    return [_flat_panel(item, cloud, half, content) for item, cloud in zip(sets, clouds, strict=True)]


def _flat_panel(item: StructureSet, cloud: np.ndarray, half: float, content: ReportContent) -> str:
    plot = Plot(
        (-half, half), (-half, half), f"Overlay of {len(cloud)} structures: {item.name}.", width=300, height=300,
        title=item.name, x_ticks=(), y_ticks=(), left=8, right=8, bottom=8,
    )  # fmt: skip
    bonds = np.asarray(content.beads.bonds, int).reshape(-1, 2)
    for frame in cloud:
        for i, j in bonds.tolist():
            plot.error_bar((frame[i, 0], frame[j, 0]), (frame[i, 1], frame[j, 1]), f"{item.key} faint")
        if len(frame) * len(cloud) <= 1500 or not len(bonds):
            plot.dots(frame[:, 0], frame[:, 1], f"{item.key} faint", "circle", 2.2)
    return plot.render("square")


def _buttons(sets: Sequence[dict]) -> str:
    return "".join(
        f'<label class="toggle"><input type="checkbox" data-set="{escape(item["key"], quote=True)}"'
        f'{" checked" if item["key"] != "basin" else ""}> <i class="swatch {item["key"]}"></i>'
        f"{escape(item['name'])}</label>"
        for item in sets
    )


def viewer_html(content: ReportContent) -> str:
    """The section with the view, its controls, its data and the flat picture."""
    flat = flat_panels(content)
    if not flat:
        return '<p class="missing">No structures to show.</p>'
    data = payload(content)
    panels = f'<div class="panels flat">{"".join(flat)}</div>'
    if data is None:
        return panels
    packed = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
    return (
        f'<div id="viewer" class="viewer" hidden><div class="stage" id="stage" role="img" '
        'aria-label="Rotatable view of the structures"></div><div class="controls">'
        f'<div class="row">{_buttons(data["sets"])}</div><div class="row">'
        '<label class="toggle"><input type="radio" name="mode" value="overlay" checked> overlay</label>'
        '<label class="toggle"><input type="radio" name="mode" value="play"> one at a time</label>'
        '<button type="button" id="play" aria-pressed="false">Play</button>'
        '<input type="range" id="frame" min="0" value="0" step="1" aria-label="Frame">'
        '<output id="frame-name" for="frame"></output><span class="space"></span>'
        '<label class="toggle"><input type="checkbox" id="names"> bead names</label>'
        '<button type="button" id="reset">Reset view</button></div></div>'
        '<p class="hint">Drag to rotate, scroll or pinch to zoom, Ctrl-drag to move.</p></div>'
        f'<div id="flat"><p class="missing" id="flat-note">This browser offers no WebGL, so here are the structures in '
        f"projection.</p>{panels}</div>"
        f'<script type="application/json" id="structure-data">{packed}</script>'
    )


def scripts() -> str:
    """The vendored viewer and the page's own script, inline."""
    folder = resources.files("twofold.report")
    library = folder.joinpath("vendor", "3Dmol-min.js").read_text(encoding="utf-8")
    own = folder.joinpath("viewer.js").read_text(encoding="utf-8")
    safe = (code.replace("</script", "<\\/script") for code in (library, own))
    return "".join(f"<script>{code}</script>" for code in safe)
