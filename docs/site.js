// What scrolls can be reached by the keyboard.
for (const table of document.querySelectorAll(".md-typeset table"))
  if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
// A command is folded between its words, not within an option.
for (const code of document.querySelectorAll(".md-typeset code"))
  code.innerHTML = code.innerHTML.replace(
    /(^|[\s>])(--[a-z][a-z-]+)/g, '$1<span class="option">$2</span>');
// The copy button of each command comes later, in a landmark of its own, which it is not.
new MutationObserver(() => {
  for (const nav of document.querySelectorAll(".md-code__nav:not([role])"))
    nav.setAttribute("role", "none");
}).observe(document.body, { childList: true, subtree: true });
