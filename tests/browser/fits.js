// What of the page breaks its frame? Returns a list of complaints, empty where all is well. (What cannot be read or used, axe finds.)
() => {
  const found = [];
  if (document.querySelectorAll("main h1").length !== 1) found.push("not one h1");
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) found.push(`wider than the page by ${root.scrollWidth - innerWidth}`);
  const main = document.querySelector("main");
  const edge = main.getBoundingClientRect().right;
  const scrolls = (element) => element.closest(".scroll, .tabs, .filters, .graph-frame, pre, .strip, svg, [class*=hidden], .quiet-caption") !== null;
  for (const element of main.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if (box.width > 0 && box.right > edge + 1 && !scrolls(element)) {
      found.push(`out of the frame by ${Math.round(box.right - edge)}: ${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""}`);
      break;
    }
  }
  return found;
}
