"use strict";
(() => {
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    const status = document.getElementById("sorted");
    const value = (row, column) => row.cells[column].dataset.value;
    const order = (column, descending) => (first, second) => {
      const a = value(first, column);
      const b = value(second, column);
      // A row without a value is last in both directions.
      if (a === "" || b === "") return (a === "") - (b === "");
      return descending ? Number(b) - Number(a) : Number(a) - Number(b);
    };
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const sorted = head.getAttribute("aria-sort");
        // Scores start with the largest, classes with the first.
        const descending = sorted === "none" ? column > 0 : sorted === "ascending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        body.append(...[...body.rows].sort(order(column, descending)));
        const name = head.textContent.trim();
        status.textContent = `Sorted by ${name}, ${descending ? "descending" : "ascending"}.`;
      });
    });
  }

  for (const table of document.querySelectorAll("table.heat")) {
    const output = table.closest(".matrix").querySelector("output");
    const rows = [...table.tBodies[0].rows];
    const columns = [...table.tHead.rows[0].cells];
    const cells = rows.map((row) => [...row.querySelectorAll("td")]);
    let current = null;
    const place = (cell) => {
      const row = rows.indexOf(cell.parentElement);
      return [row, cells[row].indexOf(cell)];
    };
    const read = (cell) => {
      const [row, column] = place(cell);
      const actual = rows[row].cells[0].dataset.name;
      const predicted = columns[column + 1].dataset.name;
      const pixels = Number(cell.dataset.pixels).toLocaleString("en");
      if (cell.dataset.share === "") output.textContent = `${actual} is not in the ground truth.`;
      else if (row === column) output.textContent = `${cell.dataset.share} of ${actual} is correct (${pixels} pixels).`;
      else output.textContent = `${cell.dataset.share} of ${actual} is predicted as ${predicted} (${pixels} pixels).`;
    };
    const choose = (cell) => {
      if (current) current.tabIndex = -1;
      current = cell;
      cell.tabIndex = 0;
    };
    for (const line of cells) for (const cell of line) cell.tabIndex = -1;
    if (cells.length) choose(cells[0][0]);
    table.tBodies[0].addEventListener("pointerover", (event) => {
      const cell = event.target.closest("td");
      if (cell) read(cell);
    });
    table.tBodies[0].addEventListener("focusin", (event) => {
      const cell = event.target.closest("td");
      if (!cell) return;
      choose(cell);
      read(cell);
    });
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    table.tBodies[0].addEventListener("keydown", (event) => {
      const cell = event.target.closest("td");
      if (!cell) return;
      let [row, column] = place(cell);
      if (event.key in steps) {
        row += steps[event.key][0];
        column += steps[event.key][1];
      } else if (event.key === "Home") column = 0;
      else if (event.key === "End") column = cells[row].length - 1;
      else return;
      event.preventDefault();
      cells[row]?.[column]?.focus();
    });
  }

  for (const slider of document.querySelectorAll(".slider")) {
    const stage = slider.closest(".stage");
    const move = () => stage.style.setProperty("--split", `${slider.value}%`);
    slider.addEventListener("input", move);
    // Browsers restore the values of forms.
    move();
  }

  const opacity = document.getElementById("opacity");
  if (opacity) {
    const fade = () => document.documentElement.style.setProperty("--opacity", opacity.value / 100);
    opacity.addEventListener("input", fade);
    fade();
  }
})();
