// Building and changing the page. Text goes in as text, never as markup.
const SVG = "http://www.w3.org/2000/svg";

export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Writes only what changed: a screen reader is not to hear, nor a browser to lay out, what is the same.
export function text(node, value) {
  const words = String(value);
  if (node.textContent !== words) node.textContent = words;
}

export function classes(node, value) {
  if (node.getAttribute("class") !== value) node.setAttribute("class", value);
}

// Rows of a table body, made once and kept. A cell is a value, or [value, class].
export function rows(body, wanted) {
  while (body.rows.length > wanted.length) body.deleteRow(-1);
  wanted.forEach((cells, index) => {
    const row = body.rows[index] ?? body.insertRow();
    while (row.cells.length > cells.length) row.deleteCell(-1);
    cells.forEach((cell, place) => {
      const node = row.cells[place] ?? row.insertCell();
      const [value, kind] = Array.isArray(cell) ? cell : [cell, ""];
      text(node, value);
      classes(node, kind);
    });
  });
}
