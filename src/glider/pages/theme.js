/* The theme of every page: what was chosen last, and a button to change it. */
(() => {
"use strict";
const root = document.documentElement;
// Before the first paint, so that the page does not flash in the other theme.
let remembered = null;
try { remembered = localStorage.getItem("glider-theme"); } catch { /* storage may be closed to files */ }
if (remembered === "light" || remembered === "dark") root.dataset.theme = remembered;
document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("glider-theme", root.dataset.theme); } catch { /* not kept, then */ }
  });
});
})();
