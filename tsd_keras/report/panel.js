"use strict";
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const place = document.getElementById("try");
  const list = document.getElementById("answers"), note = document.getElementById("said");
  const file = document.getElementById("file"), canvas = document.getElementById("draw");
  const pen = canvas.getContext("2d");
  const size = facts.shape.reduce((a, b) => a * b, 1);
  const decoded = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const ready = WebAssembly.instantiate(decoded(facts.module), {}).then(({ instance }) => instance.exports);

  // As the firmware: float32, rounded to the nearest, ties to even.
  const round = (v) => {
    const floor = Math.floor(v), rest = v - floor;
    return rest < 0.5 ? floor : rest > 0.5 ? floor + 1 : floor + (floor % 2 === 0 ? 0 : 1);
  };
  const quantize = (v) => {
    const q = round(Math.fround(Math.fround(v) / Math.fround(facts.input[0]))) + facts.input[1];
    return Math.max(-128, Math.min(127, q));
  };
  const real = (q, [scale, zero]) => (q - zero) * scale;

  // Raw int8 inputs in, raw int8 outputs out.
  window.tsdRun = async (input) => {
    const model = await ready;
    new Int8Array(model.memory.buffer, model.input(), size).set(input);
    model.run();
    return Array.from(new Int8Array(model.memory.buffer, model.output(), facts.outputs));
  };

  // Each answer in words, and as a share of 1 for its bar.
  const rated = (outputs, inputs) => {
    const named = (values) => values.map((v, i) => [`${facts.classes[i]}: ${(100 * v).toFixed(1)} %`, v]);
    if (facts.task === "values") return outputs.map((v, i) => [`${facts.classes[i]}: ${v.toPrecision(4)}`, 0]);
    if (facts.task === "anomaly") {
      const error = outputs.reduce((sum, v, i) => sum + (v - inputs[i]) ** 2, 0) / size;
      const rows = [[`mean square error of the reconstruction: ${error.toPrecision(4)}`, 0]];
      if (!facts.normal.length) return rows;
      const share = facts.normal.filter((one) => one < error).length / facts.normal.length;
      return [...rows, [`more than that of ${(100 * share).toFixed(1)} % of the normal test samples`, share]];
    }
    if (facts.task === "multi_label") return named(outputs.map((z) => facts.logits ? 1 / (1 + Math.exp(-z)) : z));
    const top = Math.max(...outputs);
    const weights = facts.logits ? outputs.map((z) => Math.exp(z - top)) : outputs;
    const total = weights.reduce((a, b) => a + b, 0) || 1;
    return named(weights.map((w) => w / total)).sort((a, b) => b[1] - a[1]).slice(0, 3);
  };
  const answer = async (raw, said) => {
    const outputs = (await window.tsdRun(raw)).map((q) => real(q, facts.output));
    list.replaceChildren(...rated(outputs, Array.from(raw, (q) => real(q, facts.input))).map(([text, share]) => {
      const row = document.createElement("li");
      row.textContent = text;
      row.style.setProperty("--share", `${100 * share}%`);
      return row;
    }));
    if (repeated) input.draw(repeated, outputs);
    note.textContent = said ?? "";
  };
  const refuse = (why) => {
    list.replaceChildren();
    note.textContent = why;
    repeated?.getContext("2d").clearRect(0, 0, repeated.width, repeated.height);
  };

  const kinds = { image: picture, signal: signal };
  const input = kinds[facts.kind]();
  const repeated = document.getElementById("repeated");
  if (repeated) {
    [repeated.width, repeated.height, repeated.className] = [canvas.width, canvas.height, canvas.className];
    refuse("");
  }
  document.getElementById("clear").onclick = () => { file.value = ""; input.clear(); refuse(""); };
  file.onchange = () => file.files.length && input.take(file.files[0]);
  place.ondragover = (event) => { event.preventDefault(); place.classList.add("over"); };
  place.ondragleave = () => place.classList.remove("over");
  place.ondrop = (event) => {
    event.preventDefault();
    place.classList.remove("over");
    if (event.dataTransfer.files.length) input.take(event.dataTransfer.files[0]);
  };
  facts.examples.forEach(([data, label], index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.onclick = () => {
      const raw = new Int8Array(decoded(data).buffer);
      input.show(Array.from(raw, (q) => real(q, facts.input)));
      answer(raw, `Test sample ${index + 1} of these; its label: ${label}.`);
    };
    document.getElementById("examples").append(button);
  });

  function signal() {
    const [steps, channels] = [facts.shape[0], facts.shape[1] ?? 1];
    canvas.width = 480; canvas.height = 160;
    canvas.classList.add("wide");
    const clear = () => pen.clearRect(0, 0, canvas.width, canvas.height);
    const draw = (target, values) => {
      const pen = target.getContext("2d");
      pen.clearRect(0, 0, canvas.width, canvas.height);
      const style = getComputedStyle(document.documentElement);
      const inks = ["--student", "--teacher", "--baseline", "--c3"].map((name) => style.getPropertyValue(name));
      const low = Math.min(...values), span = Math.max(...values) - low || 1;
      for (let c = 0; c < channels; c++) {
        pen.strokeStyle = inks[c % inks.length];
        pen.lineWidth = 1.5;
        pen.beginPath();
        for (let t = 0; t < steps; t++) {
          const up = (values[t * channels + c] - low) / span;
          pen.lineTo(t / Math.max(1, steps - 1) * canvas.width, canvas.height - 6 - up * (canvas.height - 12));
        }
        pen.stroke();
      }
    };
    const show = (values) => draw(canvas, values);
    const take = async (given) => {
      const numbers = (await given.text()).split(/[\s,;]+/).filter(Boolean).map(Number);
      if (numbers.length !== size) return refuse(`The file has ${numbers.length} numbers; ${size} are needed.`);
      if (!numbers.every(Number.isFinite)) return refuse("The file holds something that is no number.");
      show(numbers);
      answer(Int8Array.from(numbers, quantize));
    };
    return { clear, draw, show, take };
  }

  function picture() {
    const [height, width, channels] = facts.shape;
    canvas.width = Math.round(240 * Math.min(1, width / height));
    canvas.height = Math.round(240 * Math.min(1, height / width));
    const wide = canvas.width / width, tall = canvas.height / height;
    let pixels = new Float32Array(size);  // 0 to 1

    const inRange = (values) => {
      const span = facts.high - facts.low || 1;
      return Float32Array.from(values, (v) => Math.max(0, Math.min(1, (v - facts.low) / span)));
    };
    const colour = (pen, shown) => {
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
        const at = (y * width + x) * channels;
        const [r, g, b] = [0, 1, 2].map((c) => Math.round(255 * shown[at + (channels === 3 ? c : 0)]));
        pen.fillStyle = `rgb(${r},${g},${b})`;
        pen.fillRect(Math.floor(x * wide), Math.floor(y * tall), Math.ceil(wide), Math.ceil(tall));
      }
    };
    const paint = () => colour(pen, pixels);
    const draw = (target, values) => colour(target.getContext("2d"), inRange(values));
    const changed = () => {
      paint();
      answer(Int8Array.from(pixels, (v) => quantize(facts.low + v * (facts.high - facts.low))));
    };
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
    document.getElementById("invert").onclick = () => { pixels = pixels.map((v) => 1 - v); changed(); };

    const clear = () => { pixels = new Float32Array(size); paint(); };
    const show = (values) => { pixels = inRange(values); paint(); };
    const take = async (given) => {
      let bitmap;
      try { bitmap = await createImageBitmap(given); } catch { return refuse("The file is no picture."); }
      const small = new OffscreenCanvas(width, height).getContext("2d");
      small.imageSmoothingQuality = "high";
      // The middle of the picture, as large as it has the model's proportions.
      const share = Math.min(bitmap.width / width, bitmap.height / height);
      const [w, h] = [share * width, share * height];
      small.drawImage(bitmap, (bitmap.width - w) / 2, (bitmap.height - h) / 2, w, h, 0, 0, width, height);
      const rgba = small.getImageData(0, 0, width, height).data;
      for (let i = 0; i < width * height; i++) {
        const [r, g, b] = [0, 1, 2].map((c) => rgba[4 * i + c] / 255);
        const grey = 0.299 * r + 0.587 * g + 0.114 * b;
        for (let c = 0; c < channels; c++) pixels[i * channels + c] = channels === 3 ? [r, g, b][c] : grey;
      }
      changed();
    };
    paint();
    return { clear, draw, show, take };
  }
})();
