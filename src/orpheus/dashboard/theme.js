// Light, dark, or as the system has it; remembered by this browser.

const KEY = "orpheus.theme";

export function theme() {
  try {
    return localStorage.getItem(KEY) ?? "system";
  } catch {
    return "system";
  }
}

export function applyTheme(wanted = theme()) {
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  try {
    localStorage.setItem(KEY, wanted);
  } catch {
    // A browser that keeps nothing still shows the theme.
  }
}

applyTheme(); // the page waits for this file, so that it does not flash in the other theme
