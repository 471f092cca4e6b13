// The live page: events of /live become text and lines. Whatever arrives is shown as text, never as markup.
"use strict";

const pointsMax = 600;
const alarmsMax = 32;
const quietAfterMs = 3000;
const width = 600;

const byId = (id) => document.getElementById(id);
const points = [];
let learning = 400;
let signals = [];
let figures = [];
let drawing = false;

const shown = (value, digits) =>
  Math.abs(value) >= 1e6 ? value.toExponential(2) : value.toFixed(digits);

function setConnection(state, text) {
  const element = byId("connection");
  if (element.dataset.state !== state) element.dataset.state = state;
  if (element.textContent !== text) element.textContent = text;
}

function greet(hello) {
  learning = hello.learning;
  signals = hello.signals;
  points.length = 0;
  byId("alarms").replaceChildren();
  byId("no-alarms").hidden = false;
  figures = signals.map((signal) => {
    const figure = byId("signal-template").content.firstElementChild.cloneNode(true);
    figure.dataset.signal = signal.name;
    figure.querySelector(".name").textContent = signal.name;
    return {
      value: figure.querySelector(".value"),
      range: figure.querySelector(".range"),
      chart: figure.querySelector("svg"),
      line: figure.querySelector("path"),
      root: figure,
    };
  });
  byId("signals").replaceChildren(...figures.map((figure) => figure.root));
  setConnection("live", "connected");
}

function announce(announcement) {
  const item = document.createElement("li");
  item.dataset.kind = announcement.kind;
  item.dataset.sample = announcement.sequence;
  const threshold = shown(announcement.threshold, 1);
  if (announcement.kind === "learned") {
    const ignored = announcement.ignored.length === 0 ? "none" : announcement.ignored.join(" and ");
    item.textContent = `${announcement.time}: learned ${learning} samples, threshold ${threshold}, ignored signals: ${ignored}`;
  } else {
    item.textContent =
      `${announcement.time}: alarm ${announcement.kind}, T-squared ${shown(announcement.statistic, 1)}, ` +
      `threshold ${threshold}, sample ${announcement.sequence} of recording ${announcement.recording}`;
  }
  const list = byId("alarms");
  list.prepend(item);
  while (list.children.length > alarmsMax) list.lastElementChild.remove();
  byId("no-alarms").hidden = true;
}

function take(point) {
  if (points.length > 0 && points[points.length - 1].recording !== point.recording) points.length = 0;
  points.push(point);
  if (points.length > pointsMax) points.shift();
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(draw);
}

function beat(news) {
  byId("unqueued").textContent = String(news.unqueued);
  if (news.quiet_ms === null) {
    setConnection("quiet", "connected; no sample was judged yet");
  } else if (news.quiet_ms > quietAfterMs) {
    setConnection("quiet", `connected; no samples for ${Math.round(news.quiet_ms / 1000)} s`);
  } else {
    setConnection("live", "connected");
  }
}

/// A path through values, from left to right; null where there is none.
function path(values, low, high, height) {
  const step = width / (pointsMax - 1);
  const start = width - (values.length - 1) * step;
  const scale = high > low ? (height - 8) / (high - low) : 0;
  let text = "";
  let pen = "M";
  values.forEach((value, index) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const clipped = Math.min(Math.max(value, low), high);
    const y = scale === 0 ? height / 2 : height - 4 - (clipped - low) * scale;
    text += `${pen}${(start + index * step).toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  return text;
}

function drawSignals(last) {
  figures.forEach((figure, index) => {
    const values = points.map((point) => point.values[index]);
    const seen = values.filter((value) => value !== null);
    if (seen.length === 0) return;
    const low = Math.min(...seen);
    const high = Math.max(...seen);
    const unit = signals[index].unit;
    const now = last.values[index] === null ? "missed" : `${shown(last.values[index], 3)} ${unit}`;
    figure.value.textContent = now;
    figure.range.textContent = `${shown(low, 3)} to ${shown(high, 3)} ${unit}`;
    figure.line.setAttribute("d", path(values, low, high, 80));
    figure.chart.setAttribute(
      "aria-label",
      `${signals[index].name}: now ${now}, between ${shown(low, 3)} and ${shown(high, 3)} in the last ${values.length} samples`,
    );
  });
}

/// The sample with which the learning ends has a threshold, and no statistic yet.
const isJudged = (point) => point.watching && point.threshold > 0 && point.statistic > 0;

function drawStatistic(last) {
  const watched = points.filter(isJudged);
  const chart = byId("statistic-chart");
  if (watched.length === 0) {
    chart.setAttribute("aria-label", "T-squared, not known while the model learns");
    for (const line of chart.querySelectorAll("path")) line.removeAttribute("d");
    return;
  }
  const tops = watched.map((point) => Math.max(point.statistic, point.threshold));
  const low = Math.floor(Math.log10(Math.max(1e-3, Math.min(...watched.map((point) => Math.max(point.statistic, 1e-3))))));
  const high = Math.ceil(Math.log10(Math.max(...tops) * 1.05));
  const logarithm = (value) => Math.log10(Math.max(value, 1e-9));
  const known = (value) => points.map((point) => (isJudged(point) ? logarithm(value(point)) : null));
  chart.querySelector(".line").setAttribute("d", path(known((point) => point.statistic), low, high, 160));
  chart.querySelector(".threshold").setAttribute("d", path(known((point) => point.threshold), low, high, 160));
  byId("scale-low").textContent = String(10 ** low);
  byId("scale-high").textContent = String(10 ** high);
  chart.setAttribute(
    "aria-label",
    `T-squared: now ${shown(last.statistic, 1)}, threshold ${shown(last.threshold, 1)}, highest ${shown(Math.max(...watched.map((point) => point.statistic)), 1)}`,
  );
}

function draw() {
  drawing = false;
  if (points.length === 0 || figures.length === 0) return;
  const last = points[points.length - 1];
  byId("time").textContent = last.time;
  byId("recording").textContent = String(last.recording);
  byId("sample").textContent = String(last.sequence);
  byId("statistic").textContent = last.watching ? shown(last.statistic, 1) : "–";
  byId("threshold").textContent = last.watching ? shown(last.threshold, 1) : "–";
  const verdict = byId("verdict");
  verdict.dataset.state = last.alarm ? "alarm" : last.watching ? "good" : "learning";
  byId("state").textContent = last.alarm
    ? "ALARM: the loop leaks"
    : last.watching
      ? last.statistic > last.threshold
        ? "no alarm; this sample is unusual"
        : "no alarm"
      : `learning, ${last.sequence + 1} of ${learning} samples`;
  drawStatistic(last);
  drawSignals(last);
}

function listen() {
  const source = new EventSource("live");
  const on = (name, handle) => source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  on("hello", greet);
  on("announcement", announce);
  on("point", take);
  on("beat", beat);
  source.onerror = () => {
    setConnection("lost", "connection lost; trying again");
    if (source.readyState !== EventSource.CLOSED) return;  // it tries by itself
    source.close();
    setTimeout(listen, 2000);
  };
}

listen();
