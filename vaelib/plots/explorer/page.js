// The page: what the reader does, and what is shown of it.
const number = (value, digits = 2) => minus(value.toFixed(digits));

function openPage(root, data, arrays) {
  const find = (selector) => root.querySelector(selector), model = openModel(data, arrays);
  const [pad, plane, close] = [".pad", ".plane", ".close"].map(find);
  const state = { strokes: [], x: null, grey: null, mark: [0, 0], posterior: null, gaussians: [], turn: 0, pen: null };
  const whole = { centre: [0, 0], half: model.reach };
  let view = whole, closeView = { centre: [0, 0], half: 0.5 }, waiting = false, known = null;
  const dots = Array.from(arrays.label, (label, i) => [arrays.mean[2 * i], arrays.mean[2 * i + 1], label]);
  const median = (own, k) => own.map((dot) => dot[k]).sort((a, b) => a - b)[own.length >> 1];
  const names = data.names.map((name, i) => [name, dots.filter((dot) => dot[2] === i)]).filter(([, own]) => own.length)
    .map(([name, own]) => [median(own, 0), median(own, 1), name]);
  const ink = () => (known ||= getComputedStyle(root).color.match(/\d+/g).slice(0, 3).map(Number)); // a slow question

  function testImage(at) {
    if (!data.binary) return Float32Array.from(arrays.images.subarray(784 * at, 784 * (at + 1)), (value) => value / 255);
    return Float32Array.from({ length: 784 }, (_, i) => arrays.images[98 * at + (i >> 3)] >> (7 - i % 8) & 1);
  }
  function imageButton(at, name) { // it brings its test image onto the page
    const button = document.createElement("button"), canvas = document.createElement("canvas");
    button.type = "button";
    canvas.width = canvas.height = 28;
    drawDigit(canvas, testImage(at), ink());
    button.append(canvas, name);
    button.setAttribute("aria-label", `${name}: test image ${arrays.image[at]}, a ${arrays.label[at]}`);
    button.addEventListener("click", () => takeTest(at));
    return button;
  }
  function takeTest(at) {
    const named = data.named.findIndex((one) => one.at === at), x = testImage(at);
    const grey = named < 0 ? x : Float32Array.from(arrays.grey.subarray(784 * named, 784 * (named + 1)), (v) => v / 255);
    state.strokes = [];
    take(x, grey, `Test image ${arrays.image[at]}, a ${arrays.label[at]}`, `#image=${arrays.image[at]}`);
    settle();
  }
  function take(x, grey, title, link) {
    Object.assign(state, { x, grey, title, turn: state.turn + 1, posterior: null, gaussians: [], moved: false });
    find(".link").href = link;
    if (x) showPosterior(model.draft(x), "\u2248 ");
    else for (const cell of root.querySelectorAll("dd")) cell.textContent = "\u2013";
    if (!x) find("output").textContent = "Nothing is drawn.";
    drawAll();
  }
  function showPosterior(posterior, about) {
    const q = { encoder: model.encode(state.x), moments: moments(posterior) };
    const logJoint = posterior.logJoint || ((latents) => model.logJoint(state.x, latents));
    const [i, j] = posterior.points.find((point) => point[2] === posterior.top);
    const write = (name, text) => { find(`dd.${name}`).textContent = `${about}${text}`; }, { logPx } = posterior;
    state.posterior = posterior;
    if (!state.moved) state.mark = [i, j].map((k) => posterior.origin + k * posterior.size);
    state.gaussians = [{ q: q.encoder, colour: data.encoderColour }, { q: q.moments, colour: data.momentsColour }];
    closeView = { centre: q.moments.mean, half: Math.max(0.02, 4.5 * Math.max(...q.moments.deviation)) };
    const share = data.quantiles.filter((quantile) => quantile < logPx).length / data.quantiles.length;
    state.place = `more likely than ${Math.round(100 * share)} % of the ${data.tests.toLocaleString("en")} test images`;
    write("log-px", `${number(logPx, 1)} nats: ${state.place}`);
    for (const [name, one] of Object.entries(q)) {
      one.elbo = elbo(one, logJoint);
      write(name, `${number(one.elbo, 1)} nats, ${number(Math.abs(logPx - one.elbo), 1)} below log p(x)`);
    }
    showMark();
  }
  function showMark() { // the digit decoded there, and the test images around
    const [x, y] = state.mark;
    find(".mark-place").textContent = `z = (${number(x)}, ${number(y)})`;
    drawDigit(find(".decoded"), model.image(state.mark), ink());
    const away = dots.map((dot, at) => [(dot[0] - x) ** 2 + (dot[1] - y) ** 2, at]).sort((a, b) => a[0] - b[0]);
    find(".nearest").replaceChildren(...away.slice(0, 6).map(([, at]) => imageButton(at, String(arrays.label[at]))));
  }
  function drawAll() {
    const shown = { ...state, dots, names, colours: data.colours, ink: ink() };
    drawPlane(plane.firstElementChild, view, shown);
    drawPlane(close.firstElementChild, closeView, shown);
    drawStrokes(pad.firstElementChild, state.strokes, state.pen, shown.ink);
    const seen = find(".as-grey").checked ? state.grey : state.x;
    drawDigit(find(".seen"), seen || new Float32Array(784), shown.ink);
  }
  async function settle() { // when nothing moves any more, the decoder itself looks where the mass is
    const { x, turn, posterior } = state;
    root.dataset.state = x ? "refining" : "ready";
    if (!x) return;
    await pause();
    const refined = turn === state.turn && await model.refine(x, posterior, () => turn === state.turn);
    if (!refined) return;
    showPosterior(refined, "");
    drawAll();
    const text = `${state.title}: log p(x) = ${number(refined.logPx, 1)} nats, ${state.place}.`;
    find("output").textContent = `${text} Around it in the plane: ${find(".nearest").textContent.split("").join(" ")}.`;
    root.dataset.state = "ready";
  }
  function drawn(ended) {
    const grey = centred(state.strokes), start = performance.now();
    take(grey && data.binary ? binarised(grey) : grey, grey, "Your digit", "#");
    if (ended) settle();
    root.dataset.frame = (performance.now() - start).toFixed(1);
  }
  function soon(action) { // once a frame, however many events there are
    if (!waiting) requestAnimationFrame(() => { waiting = false; action(); });
    waiting = true;
  }
  const within = (event, element) => [0, 1].map((k) => {
    const box = element.getBoundingClientRect();
    return k ? (event.clientY - box.top) / box.height : (event.clientX - box.left) / box.width;
  });
  const undo = () => { state.strokes.pop(); drawn(true); }, clear = () => { state.strokes = []; drawn(true); };
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    state.drawing = true;
    state.strokes.push([within(event, pad)]);
    soon(() => drawn(!state.drawing));
  });
  pad.addEventListener("pointermove", (event) => {
    if (!state.drawing) return;
    const between = event.getCoalescedEvents?.() || [];
    for (const one of between.length ? between : [event]) state.strokes.at(-1).push(within(one, pad));
    soon(() => drawn(!state.drawing));
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => {
    if (state.drawing) { state.drawing = false; drawn(true); }
  });
  for (const [name, action] of [[".undo", undo], [".clear", clear]]) find(name).addEventListener("click", action);
  find(".as-grey").addEventListener("change", drawAll);
  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const onKey = (element, action) => element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || action(event) === false) return;
    event.preventDefault();
    event.stopPropagation(); // in JupyterLab the arrow keys would leave the cell
  });
  onKey(pad, (event) => {
    const way = WAYS[event.key], step = event.shiftKey ? 0.01 : 0.04;
    if (event.key === "Backspace" || event.key === "Delete") return event.key === "Delete" ? clear() : undo();
    state.pen ||= [0.5, 0.3];
    if (event.key === " ") {
      state.down = !state.down;
      if (state.down) state.strokes.push([state.pen]);
    } else if (way) {
      state.pen = [state.pen[0] + step * way[0], state.pen[1] - step * way[1]].map((k) => Math.min(1, Math.max(0, k)));
      if (state.down) state.strokes.at(-1)?.push(state.pen);
    } else return false;
    return state.down || event.key === " " ? drawn(!state.down) : drawAll();
  });

  function moveTo(z) {
    state.moved = true;
    state.mark = z.map((value) => Math.min(8, Math.max(-8, value)));
    find(".link").href = `#z=${state.mark.map((value) => value.toFixed(3))}`;
    soon(() => { showMark(); drawAll(); });
  }
  const zoom = (factor) => {
    view = factor ? { centre: state.mark, half: Math.min(8, Math.max(1e-3, view.half * factor)) } : whole;
    drawAll();
  };
  for (const [element, current] of [[plane, () => view], [close, () => closeView]]) {
    const follow = (event) => {
      const [u, v] = within(event, element), { centre, half } = current();
      moveTo([centre[0] + (2 * u - 1) * half, centre[1] + (1 - 2 * v) * half]);
    };
    element.addEventListener("pointerdown", follow);
    element.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
    onKey(element, (event) => {
      const way = WAYS[event.key], step = current().half / (event.shiftKey ? 200 : 40);
      if (way) return moveTo([state.mark[0] + step * way[0], state.mark[1] + step * way[1]]);
      const factor = { "+": 0.5, "-": 2, "0": 0 }[event.key];
      return factor === undefined || element === close ? false : zoom(factor);
    });
  }
  const zooms = { ".nearer": 0.5, ".farther": 2, ".whole": 0 };
  for (const name in zooms) find(name).addEventListener("click", () => zoom(zooms[name]));

  function follow() { // #image=38 shows a test image, #z=0.5,-1 a place
    const [, kind, value] = location.hash.match(/^#(image|z)=([-\d.,]+)$/) || [], z = (value || "").split(",").map(Number);
    const at = kind === "image" ? arrays.image.indexOf(z[0]) : -1, place = kind === "z" && z.length === 2;
    if (at >= 0) takeTest(at);
    if (place && z.every(Number.isFinite)) moveTo(z);
    if (at >= 0 || place) root.scrollIntoView();
  }
  function recolour() {
    known = null;
    find(".named").replaceChildren(...data.named.map((one) => imageButton(one.at, one.name)));
    showMark();
    drawAll();
  }
  takeTest(data.named[0].at);
  follow();
  recolour();
  root.dataset.opened = Math.round(performance.now()); // milliseconds from the file's opening to the first posterior
  new ResizeObserver(drawAll).observe(plane);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  addEventListener("hashchange", follow);
  return { model: { ...model, moments, elbo }, state, centred, testImage };
}
