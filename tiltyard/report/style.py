"""How a report looks: light or dark as the reader's screen is, dark on white on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --surface: #f4f6f8; --text: #1b1f24; --muted: #535c66; --line: #c5ccd3;
  --accent: #0b5cad; --mark: #b8430b; --mark-ground: #fdebdf; --quiet-ground: #e6eaee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161b; --surface: #1b2129; --text: #e6eaee; --muted: #a9b3be; --line: #3d4752;
    --accent: #7ab7ff; --mark: #ff9e66; --mark-ground: #41260f; --quiet-ground: #2a323c;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, nav, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.3rem; margin: 0 0 0.5rem; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 0.5rem; }
h1, h2, h3, p, dd, dt, tbody th, figcaption { overflow-wrap: anywhere; }
a { color: var(--accent); }
nav ul {
  display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; margin: 0.75rem 0 0; padding: 0;
}
.subtitle { color: var(--muted); margin: 0.25rem 0 0; }
.lead { font-size: 1.15rem; font-weight: 600; margin: 0 0 0.75rem; }
p { margin: 0 0 0.75rem; max-width: 48rem; }
.muted, .note, footer { color: var(--muted); }
footer { font-size: 0.9rem; padding-bottom: 2rem; }
section { background: var(--surface); border-radius: 8px; padding: 1.25rem; margin: 1.25rem 0; }

.scroll { overflow-x: auto; margin: 1rem 0; }
.scroll:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; }
caption { text-align: start; font-weight: 600; padding-bottom: 0.4rem; }
th, td {
  text-align: start; vertical-align: top; padding: 0.35rem 0.75rem 0.35rem 0;
  border-bottom: 1px solid var(--line);
}
th { font-weight: 600; }
thead th { color: var(--muted); vertical-align: bottom; }
tbody th { min-width: 8rem; max-width: 16rem; }
td.figure, th.figure {
  text-align: end; font-variant-numeric: tabular-nums; overflow-wrap: normal; white-space: nowrap;
}
thead th.figure { white-space: normal; }
td.text { min-width: 8rem; }
td.short { white-space: nowrap; }
.state {
  display: inline-block; border-radius: 4px; padding: 0 0.45rem; background: var(--quiet-ground);
  white-space: nowrap;
}
.state.marked { background: var(--mark-ground); color: var(--mark); font-weight: 600; }

dl { margin: 0.5rem 0 0; display: grid; grid-template-columns: minmax(7rem, 13rem) 1fr; gap: 0.35rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; max-width: 44rem; }
figure { margin: 0 0 1.25rem; break-inside: avoid; overflow-x: auto; }
figcaption { font-size: 0.92rem; color: var(--muted); margin-bottom: 0.25rem; }
figcaption strong { color: var(--text); font-size: 1rem; display: block; }
.multiples {
  margin-top: 1.5rem;
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr));
  gap: 0.5rem 1.5rem;
}
.multiples figure { display: flex; flex-direction: column; justify-content: flex-end; min-width: 0; }

.chart { display: block; max-width: 100%; height: auto; }
.chart.wide { min-width: 38rem; }
.chart text { font: 12px system-ui, sans-serif; fill: var(--muted); unicode-bidi: isolate; }
.chart .label { fill: var(--text); }
.chart .empty { font-style: italic; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart .line { fill: none; stroke: var(--accent); stroke-width: 1.75; }
.chart .area { fill: var(--accent); opacity: 0.13; }
.chart .stroke { fill: none; stroke: var(--mark); stroke-width: 2.5; }
.chart .dot { fill: var(--mark); stroke: var(--surface); stroke-width: 1; }
.chart .shade { fill: var(--mark); opacity: 0.12; }
.chart .bar { fill: var(--accent); opacity: 0.75; }
.chart .bar.marked { fill: var(--mark); opacity: 1; }
.chart .level { stroke: var(--muted); stroke-width: 1.25; stroke-dasharray: 5 4; }
.chart .over { fill: var(--muted); stroke: var(--surface); stroke-width: 4; paint-order: stroke; }

@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 0.5rem; } }
@media print {
  :root {
    color-scheme: light;
    --ground: #ffffff; --surface: #ffffff; --text: #000000; --muted: #444444; --line: #bbbbbb;
    --accent: #0b5cad; --mark: #b8430b; --mark-ground: #fdebdf; --quiet-ground: #eeeeee;
  }
  body { font-size: 11pt; }
  header, nav, main, footer { max-width: none; padding: 0; }
  nav { display: none; }
  section { padding: 0; }
  .scroll, figure { overflow: visible; }
  .chart.wide { min-width: 0; }
  tr, figure, dd { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  .chart, .state { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
