"""How the page looks: colours for light and dark, each with the ground that it stands on, and the rules that use them."""

from __future__ import annotations

LIGHT = {
    "ground": "#ffffff", "panel": "#f4f6f8", "ink": "#1b1f24", "quiet": "#535c66", "line": "#c9d0d8", "link": "#0a4fbf",
    "holds-ground": "#dcf4e2", "holds-ink": "#0d4d20", "fails-ground": "#b3261e", "fails-ink": "#ffffff",
    "undecided-ground": "#ffedb8", "undecided-ink": "#574000", "absent-ground": "#e9edf1", "absent-ink": "#4f5862",
    "expected-ground": "#f1dff6", "expected-ink": "#561766", "bar": "#2f6f8f", "alarm": "#b3261e", "proof": "#1c6b36",
}  # fmt: skip
DARK = {
    "ground": "#11151a", "panel": "#1b2129", "ink": "#e6edf3", "quiet": "#a8b2bd", "line": "#3a434e", "link": "#8ab4f8",
    "holds-ground": "#12351f", "holds-ink": "#95e3ad", "fails-ground": "#ff8f85", "fails-ink": "#2a0503",
    "undecided-ground": "#43370f", "undecided-ink": "#f7dc7c", "absent-ground": "#29313a", "absent-ink": "#b0bac5",
    "expected-ground": "#3c2447", "expected-ink": "#e8bdf4", "bar": "#6fb6d6", "alarm": "#ff8f85", "proof": "#7fd69a",
}  # fmt: skip
READ_ON = {
    "ink": ("ground", "panel"), "quiet": ("ground", "panel"), "link": ("ground", "panel"), "holds-ink": ("holds-ground",),
    "fails-ink": ("fails-ground",), "undecided-ink": ("undecided-ground",), "absent-ink": ("absent-ground",),
    "expected-ink": ("expected-ground",), "alarm": ("ground", "panel"), "proof": ("ground", "panel"),
}  # fmt: skip
"""What is read on what."""
WIDE = 16
"""A matrix of more columns than this is printed across the page."""

RULES = """
*{box-sizing:border-box}
html{color-scheme:light dark;scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
header,main,footer,nav{max-width:76rem;margin:0 auto;padding:0 1rem}
h1{font-size:1.25rem;margin:1.2rem 0 .5rem}
h2{font-size:1.3rem;margin:2.6rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.6rem 0 .4rem}
p,ul,dl{margin:.5rem 0}
p,li,dd{max-width:70ch}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{margin:.2rem 0;padding:.6rem .8rem;background:var(--panel);border-radius:4px}
pre{white-space:pre-wrap;overflow:auto}
pre.code{max-height:30rem}
pre.sentence{font:inherit;margin:0;padding:0;background:none}
dd ul{margin:0;padding-left:1.1rem}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:1rem;padding:.6rem 1rem;background:var(--ground);z-index:9}
.spoken{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.verdict{font-size:1.25rem;font-weight:600;padding:.8rem 1rem;border-radius:6px;margin:.6rem 0;max-width:none}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;padding:0;list-style:none}
nav a{display:inline-block;padding:.2rem 0}
dl{display:grid;grid-template-columns:minmax(5.5rem,max-content) minmax(0,1fr);gap:.3rem 1rem}
dt{color:var(--quiet)}
dd{margin:0;min-width:0;max-width:none}
dl.facts{grid-template-columns:repeat(auto-fill,minmax(8rem,1fr))}
dl.facts div{min-width:0}
dl.facts dd{font-weight:600}
details{border:1px solid var(--line);border-radius:6px;margin:.5rem 0;padding:0 .9rem}
details[open]{padding-bottom:.8rem}
summary{cursor:pointer;padding:.55rem 0}
summary .count{color:var(--quiet);margin-left:.5rem}
.holds{background:var(--holds-ground);color:var(--holds-ink)}
.fails{background:var(--fails-ground);color:var(--fails-ink)}
.undecided,.incomplete{background:var(--undecided-ground);color:var(--undecided-ink)}
.absent{background:var(--absent-ground);color:var(--absent-ink)}
.expected{background:var(--expected-ground);color:var(--expected-ink)}
.mark{display:inline-block;min-width:1.6em;padding:0 .35em;text-align:center;border-radius:3px;font-weight:600;white-space:nowrap}
.box{overflow:auto;max-height:85vh;border:1px solid var(--line);border-radius:4px;margin:.5rem 0;width:fit-content;max-width:100%}
table{border-collapse:separate;border-spacing:0;font-size:.9rem}
caption{text-align:left;padding:.5rem .6rem;color:var(--quiet);position:sticky;left:0;max-width:min(76rem,90vw)}
th,td{padding:.25rem .5rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line);position:relative}
th,td{overflow-wrap:normal}
th{font-weight:500}
thead th{position:sticky;top:0;z-index:2;background:var(--panel);vertical-align:bottom}
tbody th,thead th:first-child{position:sticky;left:0;background:var(--panel);border-right:1px solid var(--line)}
tbody th{z-index:1}
thead th:first-child{z-index:3}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.matrix thead th:not(:first-child){padding:.4rem .1rem;text-align:center}
.matrix thead span{writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap;overflow-wrap:normal}
.matrix tbody th{width:26rem;min-width:9.5rem;overflow-wrap:anywhere}
.ledger tbody th{min-width:12rem;left:0}
.matrix td{text-align:center;min-width:2.1rem;padding:.25rem .1rem;border-right:1px solid var(--line);line-height:1.25}
.matrix td a{color:inherit;font-weight:700;display:block;min-height:1.5rem}
.matrix td small{display:block;font-size:.7rem}
.matrix tbody details{border:0;margin:0;padding:0}
.matrix tbody summary{padding:0}
.matrix .part th{color:var(--quiet);position:static}
div:target,h3:target{outline:3px solid var(--link);outline-offset:4px}
.ledger thead th:first-child{left:auto;border-right:0;z-index:2}
svg{display:block;overflow:visible}
svg text{fill:var(--quiet);font-size:9px}
.bar{fill:var(--bar)}.beyond{fill:var(--alarm)}
.axis{stroke:var(--quiet);stroke-width:1;fill:none}
.alarm,.proof{fill:none;stroke-width:1.6}
.alarm{stroke:var(--alarm)}.proof{stroke:var(--proof);stroke-dasharray:4 2}
.limit{stroke-width:1;stroke-dasharray:1 2}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;align-items:center;padding:0;list-style:none}
.legend svg{display:inline-block;vertical-align:middle;margin-right:.4rem}
@media (max-width:40rem){
dl{grid-template-columns:minmax(0,1fr);gap:0}
dd{margin-bottom:.5rem}
.matrix tbody th{width:9.5rem;font-size:.8rem}
details{padding:0 .6rem}
.ledger tbody th{position:static;min-width:8rem}
}
@media print{
@page{size:A4;margin:1.3cm}
@page across{size:A4 landscape;margin:1.3cm}
html{font-size:9.5pt;color-scheme:light}
div:target,h3:target{outline:0}
nav,.skip{display:none}
header,main,footer{max-width:none;padding:0}
details{border:0;padding:0}
details::details-content{content-visibility:visible;display:block;block-size:auto}
summary{list-style:none;font-weight:600}
.matrix tbody details::details-content{display:none}
.matrix tbody summary{font-weight:500}
.box{overflow:visible;max-height:none;border:0;width:auto}
.across{page:across}
thead th,tbody th,thead th:first-child,caption{position:static}
thead{display:table-header-group;break-inside:avoid;break-after:avoid}
.matrix caption{display:none}
tr,h2,h3,hgroup,summary,dt,svg{break-inside:avoid}
h2,h3,hgroup,summary,dt,caption{break-after:avoid}
pre,pre.code{overflow:visible;max-height:none}
.matrix tbody th{width:auto;min-width:6rem;max-width:9.5cm}
.matrix td{min-width:.56cm}
.ledger{font-size:7pt}
th,td{padding:.1rem .25rem}
a[href^="https:"]::before{content:"https://"}
.holds,.fails,.undecided,.incomplete,.absent,.expected,.bar,.beyond{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


def style() -> str:
    """The whole sheet; paper is light."""
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    return f":root{{{_variables(LIGHT)}}}\n{dark}{RULES}"
