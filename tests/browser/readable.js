// What of the page can somebody not read or not use? Returns a list of complaints, empty where all is well.
() => {
  const found = [];
  const seen = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && element.getClientRects().length > 0;
  const say = (element) => `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""} "${(element.textContent ?? "").trim().slice(0, 40)}"`;

  if (document.querySelectorAll("main h1").length !== 1) found.push("not one h1");
  if (document.documentElement.scrollWidth > innerWidth) found.push(`wider than the page by ${document.documentElement.scrollWidth - innerWidth}`);
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  if (new Set(ids).size !== ids.length) found.push(`ids twice: ${ids.filter((id, place) => ids.indexOf(id) !== place)}`);

  for (const element of document.querySelectorAll("a[href], button, input, select, textarea, summary, [role=button], [role=tab], dialog, svg[role], video, audio")) {
    if (!seen(element)) continue;
    const labels = [...(element.labels ?? [])].map((each) => each.textContent).join(" ");
    const by = (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
    const image = element.querySelector("img[alt]:not([alt=''])")?.alt ?? "";
    if (!`${element.getAttribute("aria-label") ?? ""}${by}${labels}${image}${element.textContent}`.trim()) found.push(`no name: ${say(element)}`);
  }
  for (const image of document.querySelectorAll("img:not([alt])")) found.push(`no alt: ${image.src}`);
  for (const frame of document.querySelectorAll("[aria-controls], [aria-labelledby]")) {
    for (const id of `${frame.getAttribute("aria-controls") ?? ""} ${frame.getAttribute("aria-labelledby") ?? ""}`.split(" ").filter(Boolean)) {
      if (!document.getElementById(id)) found.push(`refers to nothing: ${say(frame)}`);
    }
  }

  // Contrast: painted through a canvas, because colours may be written in any way CSS knows.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const paint = (...colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((value) => { const part = value / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const grounds = [];
    for (let at = element; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    return [getComputedStyle(document.documentElement).getPropertyValue("color-scheme").includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "#000" : "#fff", ...grounds];
  };
  const told = new Set();
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest("svg") || !seen(element) || element.disabled) continue;
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const style = getComputedStyle(element);
    const grounds = behind(element);
    const [a, b] = [light(paint(...grounds, style.color)), light(paint(...grounds))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5) && !told.has(element.className)) {
      told.add(element.className);
      found.push(`contrast ${ratio.toFixed(2)}: ${say(element)}`);
    }
  }
  return found;
}
