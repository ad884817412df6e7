"use strict";
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const list = document.getElementById("answers");
  const size = facts.shape.reduce((a, b) => a * b, 1);
  const bytes = Uint8Array.from(atob(facts.module), (c) => c.charCodeAt(0));
  const ready = WebAssembly.instantiate(bytes, {}).then(({ instance }) => instance.exports);

  // As the firmware: float32, rounded to the nearest, ties to even.
  const round = (v) => {
    const floor = Math.floor(v), rest = v - floor;
    return rest < 0.5 ? floor : rest > 0.5 ? floor + 1 : floor + (floor % 2 === 0 ? 0 : 1);
  };
  const quantize = (v) => {
    const q = round(Math.fround(Math.fround(v) / Math.fround(facts.input[0]))) + facts.input[1];
    return Math.max(-128, Math.min(127, q));
  };

  // Raw int8 inputs in, raw int8 outputs out.
  window.tsdRun = async (input) => {
    const model = await ready;
    new Int8Array(model.memory.buffer, model.input(), size).set(input);
    model.run();
    return Array.from(new Int8Array(model.memory.buffer, model.output(), facts.classes.length));
  };

  const show = async (values) => {
    const raw = await window.tsdRun(Int8Array.from(values, quantize));
    const real = raw.map((q) => (q - facts.output[1]) * facts.output[0]);
    const top = Math.max(...real);
    const weights = facts.logits ? real.map((z) => Math.exp(z - top)) : real;
    const total = weights.reduce((a, b) => a + b, 0) || 1;
    const order = weights.map((w, i) => [w / total, facts.classes[i]]).sort((a, b) => b[0] - a[0]);
    list.replaceChildren(...order.slice(0, 3).map(([share, name]) => {
      const row = document.createElement("li");
      row.textContent = `${name}: ${(100 * share).toFixed(1)} %`;
      return row;
    }));
  };

  const file = document.getElementById("file");
  const clear = document.getElementById("clear");
  const scaled = (v) => facts.low + v * (facts.high - facts.low);

  if (facts.kind === "signal") {
    clear.onclick = () => { file.value = ""; list.replaceChildren(); };
    file.onchange = async () => {
      const numbers = (await file.files[0].text()).split(/[\s,;]+/).filter(Boolean).map(Number);
      if (numbers.length === size && numbers.every(Number.isFinite)) return show(numbers);
      list.textContent = `The file has ${numbers.length} numbers; ${size} are needed.`;
    };
    return;
  }

  const [height, width, channels] = facts.shape;
  const canvas = document.getElementById("draw"), pen = canvas.getContext("2d");
  canvas.width = Math.round(240 * Math.min(1, width / height));
  canvas.height = Math.round(240 * Math.min(1, height / width));
  const wide = canvas.width / width, tall = canvas.height / height;
  let pixels = new Float32Array(size);  // 0 to 1

  const paint = () => {
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      const at = (y * width + x) * channels;
      const [r, g, b] = [0, 1, 2].map((c) => Math.round(255 * pixels[at + (channels === 3 ? c : 0)]));
      pen.fillStyle = `rgb(${r},${g},${b})`;
      pen.fillRect(Math.floor(x * wide), Math.floor(y * tall), Math.ceil(wide), Math.ceil(tall));
    }
  };
  const changed = () => { paint(); show(Array.from(pixels, scaled)); };
  const radius = Math.max(0.75, 0.055 * Math.min(width, height));
  const dab = (px, py) => {
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      const ink = Math.max(0, Math.min(1, 1.5 - Math.hypot(x + 0.5 - px, y + 0.5 - py) / radius));
      for (let c = 0; c < channels; c++) {
        const at = (y * width + x) * channels + c;
        pixels[at] = Math.max(pixels[at], ink);
      }
    }
  };
  let last = null;
  const brush = (event) => {
    const box = canvas.getBoundingClientRect();
    const place = [
      (event.clientX - box.left) / box.width * width, (event.clientY - box.top) / box.height * height,
    ];
    const from = last ?? place;
    // A quick stroke comes as a few points: the line between them is drawn.
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(place[0] - from[0], place[1] - from[1])));
    for (let s = 1; s <= steps; s++) dab(...[0, 1].map((k) => from[k] + (place[k] - from[k]) * s / steps));
    last = place;
    changed();
  };
  canvas.onpointerdown = (event) => { canvas.setPointerCapture(event.pointerId); last = null; brush(event); };
  canvas.onpointermove = (event) => { if (event.buttons) brush(event); };
  clear.onclick = () => { pixels = new Float32Array(size); file.value = ""; paint(); list.replaceChildren(); };
  file.onchange = async () => {
    const bitmap = await createImageBitmap(file.files[0]);
    const small = new OffscreenCanvas(width, height).getContext("2d");
    small.drawImage(bitmap, 0, 0, width, height);
    const rgba = small.getImageData(0, 0, width, height).data;
    for (let i = 0; i < width * height; i++) {
      const grey = (0.299 * rgba[4 * i] + 0.587 * rgba[4 * i + 1] + 0.114 * rgba[4 * i + 2]) / 255;
      for (let c = 0; c < channels; c++) pixels[i * channels + c] = channels === 3 ? rgba[4 * i + c] / 255 : grey;
    }
    changed();
  };
  paint();
})();
