// What scrolls can be reached by the keyboard.
for (const table of document.querySelectorAll(".md-typeset table"))
  if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
