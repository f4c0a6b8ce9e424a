"use strict";
/* The picture that represents the input: the built-in picture, or the user's own. */

class Picture {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.canvas = el("canvas", { width, height });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.thumbs = new Map();
    this.own = false;
    this.paint();
  }

  /** Draws the built-in picture. */
  paint() {
    this.context.setTransform(this.width, 0, 0, this.height, 0, 0);
    if (this.height > 1 && this.width / this.height < 6) paintLandscape(this.context);
    else paintSignal(this.context, this.width / this.height);
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.own = false;
    this.changed();
  }

  /** Loads an image file and crops the middle to the shape of the input.
   *
   * If this fails, the promise is rejected with a message for the user. */
  async load(file) {
    const url = URL.createObjectURL(file);
    try {
      const image = new Image();
      image.src = url;
      await image.decode();
      if (!image.naturalWidth || !image.naturalHeight) throw new Error("no size");
      this.place(image);
    } catch {
      throw new Error(
        `“${file.name}” cannot be shown: this browser cannot read it as an image. ` +
          "Try a PNG or JPEG file.",
      );
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  place(image) {
    const [width, height] = [image.naturalWidth, image.naturalHeight];
    const scale = Math.max(this.width / width, this.height / height);
    const [w, h] = [width * scale, height * scale];
    this.context.imageSmoothingQuality = "high";
    this.context.clearRect(0, 0, this.width, this.height);
    this.context.drawImage(image, (this.width - w) / 2, (this.height - h) / 2, w, h);
    this.own = true;
    this.changed();
  }

  changed() {
    this.pixels = this.context.getImageData(0, 0, this.width, this.height).data;
    this.url = this.canvas.toDataURL();
    this.thumbs.clear();
  }

  /** Returns a small canvas with one pixel per feature, in the colour of the image at the
   * centre of the feature.
   *
   * If `paired` is true, the features follow x and y along one axis and fill one row. */
  colours(columns, rows, [xs, ys], paired) {
    const ends = (centres) => centres && `${centres[0]}:${centres[centres.length - 1]}`;
    const key = `${columns},${rows},${ends(xs)},${ends(ys)}`;
    if (!this.thumbs.has(key)) {
      this.thumbs.set(key, this.sampled(columns, rows, xs, ys ?? [0], paired));
    }
    return this.thumbs.get(key);
  }

  sampled(columns, rows, xs, ys, paired) {
    const canvas = el("canvas", { width: columns, height: rows });
    const context = canvas.getContext("2d");
    const data = context.createImageData(columns, rows);
    const inside = (value, size) => Math.max(0, Math.min(size - 1, Math.round(value)));
    for (let v = 0, i = 0; v < rows; v++) {
      for (let u = 0; u < columns; u++, i += 4) {
        const y = inside(ys[paired ? u : v], this.height) * this.width;
        const from = 4 * (y + inside(xs[u], this.width));
        for (let k = 0; k < 4; k++) data.data[i + k] = this.pixels[from + k];
      }
    }
    context.putImageData(data, 0, 0);
    return canvas;
  }
}

function paintLandscape(context) {
  const fill = (colour, ...points) => {
    context.fillStyle = colour;
    context.beginPath();
    points.forEach(([x, y]) => context.lineTo(x, y));
    context.fill();
  };
  const disc = (colour, x, y, radius) => {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.fill();
  };
  const sky = context.createLinearGradient(0, 0, 0, 0.7);
  sky.addColorStop(0, "#3f7fbf");
  sky.addColorStop(1, "#f7d9b0");
  context.fillStyle = sky;
  context.fillRect(0, 0, 1, 1);
  disc("#fff2c4", 0.74, 0.22, 0.085);
  for (const [x, y] of [[0.2, 0.17], [0.47, 0.11]]) {
    [-0.05, 0, 0.05].forEach((d) => disc("#ffffffd0", x + d, y - (d ? 0 : 0.015), 0.035));
  }
  fill("#7489a8", [0, 0.62], [0.18, 0.34], [0.33, 0.5], [0.5, 0.28], [0.72, 0.55], [0.86, 0.42], [1, 0.56], [1, 0.7], [0, 0.7]);
  fill("#f4f6fa", [0.5, 0.28], [0.445, 0.352], [0.48, 0.345], [0.505, 0.37], [0.53, 0.345], [0.556, 0.352]);
  fill("#5c8a58", [0, 0.66], [0.25, 0.58], [0.55, 0.64], [0.8, 0.57], [1, 0.63], [1, 1], [0, 1]);
  fill("#3e6b45", [0, 0.83], [0.3, 0.74], [0.65, 0.8], [1, 0.72], [1, 1], [0, 1]);
  context.fillStyle = "#79b4d8";
  context.beginPath();
  context.ellipse(0.72, 0.83, 0.2, 0.055, 0, 0, 7);
  context.fill();
  fill("#e8d3b0", [0.2, 0.6], [0.42, 0.6], [0.42, 0.78], [0.2, 0.78]);
  fill("#a83f32", [0.17, 0.61], [0.31, 0.49], [0.45, 0.61]);
  fill("#6b4327", [0.28, 0.67], [0.345, 0.67], [0.345, 0.78], [0.28, 0.78]);
  for (const x of [0.225, 0.365]) fill("#5d8fb8", [x, 0.645], [x + 0.04, 0.645], [x + 0.04, 0.69], [x, 0.69]);
  for (const [x, y, s] of [[0.08, 0.8, 0.9], [0.55, 0.72, 0.7], [0.91, 0.75, 1]]) {
    fill("#59402c", [x - 0.01, y], [x + 0.01, y], [x + 0.01, y + 0.06 * s], [x - 0.01, y + 0.06 * s]);
    [0, 0.06, 0.12].forEach((d) => {
      const half = (0.075 - d * 0.3) * s;
      fill("#22502f", [x - half, y - d * s], [x + half, y - d * s], [x, y - (d + 0.09) * s]);
    });
  }
}

/** Paints the picture for inputs with one axis: a wave on a background whose colours
 * distinguish positions. */
function paintSignal(context, ratio) {
  const colours = context.createLinearGradient(0, 0, 1, 0);
  ["#27496d", "#3f8fb5", "#7cc3a2", "#f0d58c", "#e08a5b", "#9a4b6b"].forEach((colour, i) =>
    colours.addColorStop(i / 5, colour),
  );
  context.fillStyle = colours;
  context.fillRect(0, 0, 1, 1);
  context.beginPath();
  for (let x = 0; x <= 1; x += 0.001) {
    const wave = Math.sin(70 * x) * 0.55 + Math.sin(190 * x + 2) * 0.3 * Math.sin(9 * x);
    context.lineTo(x, 0.5 - 0.4 * wave * Math.sin(3.1 * x));
  }
  context.strokeStyle = "#ffffffe0";
  context.lineWidth = 0.04 / Math.max(1, ratio);
  context.stroke();
}
