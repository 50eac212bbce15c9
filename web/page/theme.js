const NAMES = { system: "as in the system", light: "light", dark: "dark" };
const SIGNS = { system: "◐", light: "☀", dark: "☾" };
const KEY = "bptt-theme";

/** A button that goes through the three choices, which the browser remembers. @param {HTMLButtonElement} button */
export function bindTheme(button) {
  const choices = Object.keys(NAMES);
  let choice = stored();
  const show = () => {
    if (choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    button.textContent = SIGNS[choice];
    button.setAttribute("aria-label", `Colours: ${NAMES[choice]}`);
    button.title = `Colours: ${NAMES[choice]}`;
  };
  button.addEventListener("click", () => {
    choice = choices[(choices.indexOf(choice) + 1) % choices.length];
    keep(choice);
    show();
  });
  show();
}

// A browser may forbid storage; the choice then lasts as long as the page.
function stored() {
  try {
    const choice = localStorage.getItem(KEY) ?? "system";
    return Object.hasOwn(NAMES, choice) ? choice : "system";
  } catch {
    return "system";
  }
}

function keep(choice) {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // Nothing to do: see `stored`.
  }
}
