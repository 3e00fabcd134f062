// A list that grows by itself.
"use strict";

// The row that somebody is at stays where it is on the screen, whatever comes or goes above it.
let held = null;

function hold() {
  const row = one("#list tr:focus-within") ?? one("#list tr:hover");
  const count = one("#list .bar strong")?.textContent;
  held = { row, count, at: row?.rowIndex, top: row?.getBoundingClientRect().top, hasFocus: row?.matches(":focus-within") };
}

function letGo() {
  const rows = all("#list tbody tr");
  const count = one("#list .bar strong")?.textContent;
  if (count && count !== held.count) say(`${count} candidates`);
  const row = held.row?.isConnected ? held.row : rows[Math.min(held.at, rows.length) - 1];
  if (!held.row || !row) return;
  if (held.hasFocus && !row.matches(":focus-within")) one("[data-row]", row).focus({ preventScroll: true });
  window.scrollBy(0, row.getBoundingClientRect().top - held.top);
}

document.addEventListener("htmx:before:swap", (event) => isLive(event) && hold());
document.addEventListener("htmx:after:swap", (event) => isLive(event) && letGo());
