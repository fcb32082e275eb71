// A line chart over time: uPlot, with the page's colours and a crosshair that all charts share.

import { clock, minute, short } from "./format.js";

const CROSSHAIR = "page";
const dark = matchMedia("(prefers-color-scheme: dark)");
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

class LineChart extends HTMLElement {
  #chart;
  #data;
  #spec = [];
  #watch;
  #told;
  #unit = "";

  set unit(unit) { this.#unit = unit; }
  set spec(spec) { this.#spec = spec; }
  /** [seconds, ...values], null where unknown. */
  set data(data) {
    this.#data = data;
    if (this.#chart) {
      this.#chart.setData(data);
      this.#tell();
    } else if (this.isConnected) this.#draw();
  }
  /** Called with the index under the crosshair, or the newest. */
  set told(told) { this.#told = told; }

  connectedCallback() {
    this.#watch = new ResizeObserver(() => this.#chart?.setSize({ width: this.clientWidth, height: this.clientHeight }));
    this.#watch.observe(this);
    dark.addEventListener("change", this.#again);
    if (this.#data) this.#draw();
  }

  disconnectedCallback() {
    this.#watch.disconnect();
    dark.removeEventListener("change", this.#again);
    this.#chart?.destroy();
    this.#chart = undefined;
  }

  #again = () => {
    this.#chart?.destroy();
    this.#draw();
  };

  #tell() {
    const i = this.#chart.cursor.idx;
    this.#told?.(i ?? this.#data[0].length - 1, i != null);
  }

  #draw() {
    this.#chart = new uPlot(
      {
        width: this.clientWidth || 600,
        height: this.clientHeight || 150,
        legend: { show: false },
        padding: [8, 4, 0, 0],
        cursor: { sync: { key: CROSSHAIR, setSeries: false }, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { y: { range: (_, __, max) => [0, (max > 0 ? max : 1) * 1.12] } },
        axes: this.#axes(),
        series: [{}, ...this.#spec.map((s) => ({
          stroke: token(s.colour), width: s.width ?? 1.75, points: { show: false }, fill: s.fill && token(s.fill),
        }))],
        hooks: { setCursor: [() => this.#tell()] },
      },
      this.#data,
      this,
    );
    this.#tell();
  }

  #axes() {
    const font = `${0.75 * rem()}px ${getComputedStyle(this).fontFamily}`;
    const axis = { stroke: token("--ink-2"), font, grid: { stroke: token("--line"), width: 1 }, ticks: { show: false } };
    // A label that would be cut off at the right is left out.
    const fits = (u, at) => at.map((t) => (u.valToPos(t, "x") > u.over.clientWidth - 1.4 * rem() ? null : t));
    const times = (_, at, __, ___, step) => at.map((t) => (t == null ? "" : step < 60 ? clock(t) : minute(t)));
    const values = (_, at) => at.map((n) => `${short(n)}${this.#unit && ` ${this.#unit}`}`);
    return [
      { ...axis, grid: { show: false }, space: 6 * rem(), size: 1.6 * rem(), filter: fits, values: times },
      { ...axis, space: 3 * rem(), size: 3.4 * rem(), values },
    ];
  }
}
customElements.define("line-chart", LineChart);
