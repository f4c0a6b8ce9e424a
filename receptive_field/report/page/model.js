"use strict";
/* A model on the page: its network, and the picture that represents its input. */

class Model {
  constructor(data) {
    this.network = decodeNetwork(data);
    this.title = data.title;
    this.nodes = this.network.nodes.filter((node) => node.name !== undefined);
    this.sources = namedSources(this.network.nodes);
    this.sizes = this.network.nodes[0].size;
    const [width, height] = this.sizes;
    this.picture = new Picture(width, height ?? Math.max(16, Math.round(width / 8)));
  }

  /** Returns what the model is, in a sentence. */
  about() {
    const { input, note } = this.network;
    const text = `${this.nodes.length - 1} layers over ${input}, ${this.sizes.join(" × ")} positions`;
    return note ? `${text}. ${note}` : text;
  }

  nodeNamed(name) {
    return this.nodes.find((node) => node.name === name);
  }

  /** Returns the requested output, or the layer whose receptive field is nearest to a third
   * of the input: where pointing shows most. */
  firstChoice() {
    const asked = this.nodes.filter((node) => this.network.outputs.includes(node.name)).at(-1);
    const many = this.nodes.filter((node) => node.size.some((size) => size > 1));
    const apart = (node) => {
      const ratios = (node.near ?? node).rf.map((r, axis) => Math.abs(Math.log((3 * r) / this.sizes[axis])));
      return Math.max(...ratios.map((ratio) => (Number.isFinite(ratio) ? ratio : Infinity)));
    };
    const nearest = many.slice(1).reduce((best, node) => (apart(node) <= apart(best) ? node : best), many.at(-1));
    return (asked ?? nearest ?? this.nodes[0]).index;
  }

  /** Returns the layer to show in place of a layer of another model: of the same name, if
   * there is one. */
  counterpart(node) {
    return (this.nodes.slice(1).find(({ name }) => name === node.name)?.index) ?? this.firstChoice();
  }

  /** Returns a factor for each axis, by which places in another model's input are places in
   * this one's, which shows the same picture; null if the inputs have not as many axes. */
  scaleFrom({ sizes }) {
    return sizes.length === this.sizes.length ? this.sizes.map((size, axis) => size / sizes[axis]) : null;
  }
}
