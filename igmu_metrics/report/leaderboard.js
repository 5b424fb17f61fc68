// Shows the tables that all filters want.
"use strict";
{
  const form = document.querySelector("form.boards");
  const boards = [...document.querySelectorAll(".board")];

  function apply() {
    const wanted = [...new FormData(form)].filter(([, value]) => value);
    for (const board of boards) board.hidden = wanted.some(([name, value]) => board.dataset[name] !== value);
    const shown = boards.filter((board) => !board.hidden).length;
    document.querySelector(".nothing").hidden = shown > 0;
    form.querySelector("output").value = `${shown} of ${boards.length} tables`;
  }

  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
