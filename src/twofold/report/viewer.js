"use strict";
// Drives the rotatable view. Everything it needs is in the page; without WebGL the flat picture stays.
(function () {
  const source = document.getElementById("structure-data");
  const box = document.getElementById("viewer");
  if (!source || !box) return;

  function hasWebGL() {
    try {
      const canvas = document.createElement("canvas");
      const context = canvas.getContext("webgl2") || canvas.getContext("webgl");
      if (!context) return false;
      const lose = context.getExtension("WEBGL_lose_context");
      if (lose) lose.loseContext();
      return true;
    } catch (error) {
      return false;
    }
  }

  const flatNote = document.getElementById("flat-note");
  if (typeof window.$3Dmol === "undefined" || !hasWebGL()) {
    flatNote.hidden = false;
    document.documentElement.classList.add("no-webgl");
    return;
  }

  const data = JSON.parse(source.textContent);
  for (const set of data.sets) {
    const bytes = Uint8Array.from(atob(set.pm), (c) => c.charCodeAt(0));
    set.values = new Int16Array(bytes.buffer);
  }
  const bonded = Array.from({ length: data.beads }, () => []);
  for (const [i, j] of data.bonds) { bonded[i].push(j); bonded[j].push(i); }

  box.hidden = false;
  document.getElementById("flat").classList.add("print-only");
  flatNote.hidden = true;

  let view = null;
  const state = { mode: "overlay", frame: 0, timer: null };
  const slider = document.getElementById("frame");
  const play = document.getElementById("play");
  const name = document.getElementById("frame-name");
  const names = document.getElementById("names");
  const longest = Math.max(...data.sets.map((set) => set.frames));
  slider.max = String(Math.max(longest - 1, 0));

  const colour = (key) => getComputedStyle(document.documentElement).getPropertyValue("--" + key).trim();
  const active = () => data.sets.filter((set) => {
    const input = box.querySelector('input[data-set="' + set.key + '"]');
    return input && input.checked && set.frames > 0;
  });

  function atoms(set, frame) {
    const start = frame * data.beads * 3;
    return Array.from({ length: data.beads }, (_, index) => ({
      elem: "C", serial: index, x: set.values[start + 3 * index] / 100, y: set.values[start + 3 * index + 1] / 100,
      z: set.values[start + 3 * index + 2] / 100, bonds: bonded[index], bondOrder: bonded[index].map(() => 1),
    }));
  }

  function add(set, frame, thickness, opacity) {
    const model = view.addModel();
    model.addAtoms(atoms(set, frame));
    const tint = colour(set.key);
    model.setStyle({}, {
      sphere: { radius: data.bonds.length ? 2.1 * thickness : 0.5, color: tint, opacity: opacity },
      stick: { radius: thickness, color: tint, opacity: opacity },
    });
  }

  function label(set, frame) {
    const start = frame * data.beads * 3;
    const ink = colour("ink");
    for (let index = 0; index < data.beads; index += 1) {
      view.addLabel(data.names[index], {
        position: { x: set.values[start + 3 * index] / 100, y: set.values[start + 3 * index + 1] / 100,
          z: set.values[start + 3 * index + 2] / 100 },
        fontSize: 11, fontColor: ink, showBackground: false, alignment: "bottomCenter", inFront: true,
      });
    }
  }

  function draw() {
    view.removeAllModels();
    view.removeAllLabels();
    const sets = active();
    if (state.mode === "overlay") {
      const each = Math.max(1, Math.min(data.overlay, Math.floor(6000 / data.beads / Math.max(sets.length, 1))));
      for (const set of sets) for (const frame of set.overlay.slice(0, each)) add(set, frame, 0.055, 1);
      name.textContent = sets.length ? Math.min(each, longest) + " structures of each set" : "";
    } else {
      for (const set of sets) add(set, state.frame % set.frames, 0.14, 1);
      const timed = sets.length > 0 && sets.every((set) => set.ordered);
      name.textContent = (timed ? "time frame " : "structure ") + (state.frame + 1) + " of " + longest;
    }
    if (names.checked && sets.length) label(sets[0], state.mode === "overlay" ? sets[0].overlay[0] : state.frame % sets[0].frames);
    view.render();
  }

  // Zooms so that the structures take up most of the stage, whatever its shape.
  function fill() {
    const stage = document.getElementById("stage");
    const points = [];
    for (const set of active()) {
      for (let start = 0; start < set.values.length; start += 3) {
        points.push({ x: set.values[start] / 100, y: set.values[start + 1] / 100, z: set.values[start + 2] / 100 });
      }
    }
    if (!points.length) return;
    const screen = view.modelToScreen(points);
    const span = (axis) => screen.reduce(([low, high], p) => [Math.min(low, p[axis]), Math.max(high, p[axis])], [1e9, -1e9]);
    const [left, right] = span("x");
    const [top, bottom] = span("y");
    const factor = Math.min((0.66 * stage.clientWidth) / (right - left), (0.66 * stage.clientHeight) / (bottom - top));
    if (Number.isFinite(factor) && factor > 0) view.zoom(Math.min(factor, 8));
    view.render();
  }

  function stop() {
    clearInterval(state.timer);
    state.timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  function setMode(mode) {
    state.mode = mode;
    for (const input of box.querySelectorAll('input[name="mode"]')) input.checked = input.value === mode;
  }

  function start() {
    view = window.$3Dmol.createViewer(document.getElementById("stage"), {
      backgroundAlpha: 0, antialias: true, upscale: false, disableFog: true, orthographic: true,
    });
    if (!view) { box.hidden = true; flatNote.hidden = false; document.getElementById("flat").classList.remove("print-only"); return; }
    draw();
    view.zoomTo();
    view.render();
    fill();
    const home = view.getView();
    document.getElementById("reset").addEventListener("click", () => { view.setView(home); view.render(); });
    for (const input of box.querySelectorAll("input[data-set], #names")) input.addEventListener("change", draw);
    for (const input of box.querySelectorAll('input[name="mode"]')) {
      input.addEventListener("change", () => { setMode(input.value); if (input.value === "overlay") stop(); draw(); });
    }
    slider.addEventListener("input", () => { setMode("play"); state.frame = Number(slider.value); draw(); });
    play.addEventListener("click", () => {
      if (state.timer) { stop(); return; }
      setMode("play");
      play.textContent = "Pause";
      play.setAttribute("aria-pressed", "true");
      state.timer = setInterval(() => {
        state.frame = (state.frame + 1) % Math.max(longest, 1);
        slider.value = String(state.frame);
        draw();
      }, 160);
    });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    box.dataset.ready = "yes";
  }

  if ("IntersectionObserver" in window) {
    const watch = new IntersectionObserver((seen) => {
      if (seen.some((entry) => entry.isIntersecting)) { watch.disconnect(); start(); }
    }, { rootMargin: "400px" });
    watch.observe(box);
  } else {
    start();
  }
})();
