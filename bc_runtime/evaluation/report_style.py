# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How the report looks, in light and in dark."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --muted: #5f6b7a; --line: #dfe3e9;
  --blue: #1f66d1; --orange: #c8640b; --good: #147a45; --bad: #bd2f27; --good-soft: #e0f3e8;
  --bad-soft: #fbe5e3; --gray-soft: #eceff3; --shade: #1f66d112;
  --st-idle: #c9d0d9; --st-align: #8fb8ef; --st-auto: #6cc08f; --st-slow: #e8c264;
  --st-brake: #eda467; --st-held: #aab4c0; --st-fault: #e0766f; --st-human: #b99be0;
  --st-ink: #16202b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161b; --card: #1a2027; --ink: #e6eaf0; --muted: #98a4b3; --line: #2e3741;
    --blue: #6aa6ff; --orange: #f0a04f; --good: #56c78b; --bad: #ff8a80; --good-soft: #17362a;
    --bad-soft: #45201f; --gray-soft: #262e37; --shade: #6aa6ff1f;
    --st-idle: #56616e; --st-align: #41699f; --st-auto: #35805a; --st-slow: #8f7428;
    --st-brake: #96602c; --st-held: #495462; --st-fault: #9c423c; --st-human: #6f559a;
    --st-ink: #f2f5f9;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 34px 0 10px; }
h3 { font-size: 14px; margin: 18px 0 6px; }
p { margin: 0 0 10px; max-width: 76ch; }
.lead { color: var(--muted); margin-bottom: 18px; }
.muted, .note { color: var(--muted); }
.note { font-size: 13px; }
code { font: 13px/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; }
@media (max-width: 760px) { .tiles { grid-template-columns: repeat(2, 1fr); } }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 14px 16px; }
.tile b { display: block; font-size: 26px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile .name { color: var(--muted); font-size: 13px; }
.tile .more { font-size: 13px; color: var(--muted); }
.tile svg { margin: 6px 0 2px; max-width: 220px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
td.wide { white-space: normal; }
th { font-weight: 600; font-size: 13px; color: var(--muted); }
td.n, th.n { text-align: right; }
tr:last-child td { border-bottom: 0; }
a { color: var(--blue); }
.chip { display: inline-block; padding: 0 9px; border-radius: 9px; font-size: 13px;
  background: var(--gray-soft); }
.chip.success { background: var(--good-soft); color: var(--good); }
.chip.failure, .chip.aborted { background: var(--bad-soft); color: var(--bad); }
details { margin: 12px 0; }
summary { cursor: pointer; font-size: 16px; font-weight: 600; }
summary .chip { margin-left: 8px; font-weight: 400; }
.joints { display: grid; gap: 8px 16px;
  grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
.pair { display: grid; grid-template-columns: 3fr 2fr; gap: 8px 16px; }
@media (max-width: 760px) { .pair { grid-template-columns: 1fr; } }
.events { list-style: none; margin: 6px 0 0; padding: 0; font-size: 13px; }
.events .time { display: inline-block; min-width: 52px; color: var(--muted);
  font-variant-numeric: tabular-nums; }
td .note { display: block; white-space: normal; min-width: 130px; }
td.wide { min-width: 170px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; color: var(--muted);
  margin: 0 0 6px; }
.legend i { display: inline-block; width: 18px; border-top: 3px solid; margin-right: 6px;
  vertical-align: middle; }
.legend i.block { height: 10px; border: 0; background: currentColor; opacity: .6; }
.c-measured { color: var(--ink); } .c-command { color: var(--blue); }
.c-chunk, .c-inference { color: var(--orange); } .c-latency { color: var(--blue); }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
svg text { fill: var(--muted); font-size: 11px; }
svg .chart-title { fill: var(--ink); font-size: 12.5px; font-weight: 600; }
svg .row-title { fill: var(--muted); font-size: 12px; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--muted); stroke-width: 1; opacity: .6; }
svg polyline { fill: none; stroke-linejoin: round; }
svg .l-measured { stroke: var(--ink); stroke-width: 1.2; }
svg .l-command { stroke: var(--blue); stroke-width: 2; opacity: .85; }
svg .l-chunk { stroke: var(--orange); stroke-width: 1; opacity: .5; }
svg .shade { fill: var(--shade); }
svg .no-picture { fill: var(--gray-soft); }
svg .bars rect { opacity: .55; }
svg .c-latency rect, svg .mark-label.c-latency { fill: var(--blue); }
svg .c-inference rect, svg .mark-label.c-inference { fill: var(--orange); }
svg .mark { stroke-width: 1.2; stroke-dasharray: 3 3; }
svg .mark.c-latency { stroke: var(--blue); } svg .mark.c-inference { stroke: var(--orange); }
svg .track { stroke: var(--line); stroke-width: 4; stroke-linecap: round; }
svg .interval { stroke: var(--good); stroke-width: 4; stroke-linecap: round; opacity: .55; }
svg .dot { fill: var(--good); stroke: var(--card); stroke-width: 2; }
svg .state { fill: var(--st-idle); } svg .state-label { fill: var(--st-ink); font-size: 12px; }
svg .state-ALIGN { fill: var(--st-align); } svg .state-AUTO { fill: var(--st-auto); }
svg .state-SLOW { fill: var(--st-slow); } svg .state-BRAKING { fill: var(--st-brake); }
svg .state-HELD, svg .state-FINALIZING { fill: var(--st-held); }
svg .state-FAULT, svg .state-ESTOP { fill: var(--st-fault); }
svg .state-TAKEOVER, svg .state-HUMAN, svg .state-HANDBACK { fill: var(--st-human); }
@media print { body { background: #fff; } .card { break-inside: avoid; } }
"""
