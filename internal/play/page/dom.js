// Small helpers around the document. Elements stay the same from one state to
// the next, so that nobody loses the focus or a click.

// make returns an element with attributes and children.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// svg does the same for a picture.
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// text sets an element's text, if it is another one.
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

// classes sets an element's class, if it is another one.
export function classes(element, value) {
  if (element.getAttribute("class") !== value) element.setAttribute("class", value);
}

// slot returns the part of an element with that name.
export function slot(element, name) {
  return element.querySelector(`[data-slot="${name}"]`);
}

// keyed makes the children of parent those of items, in order: create makes the
// element of an item that is new, update brings each up to date.
export function keyed(parent, items, key, create, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let element = old.get(name);
    if (!element) {
      element = create(item);
      element.dataset.key = name;
    }
    old.delete(name);
    if (element !== place) parent.insertBefore(element, place);
    else place = place.nextElementSibling;
    update(element, item);
  }
  for (const element of old.values()) element.remove();
}
