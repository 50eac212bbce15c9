// Settings as form controls. What a control's `value` is in HTML is its default; `data-small` is the default on a slow
// device, and `data-default` that of a hidden one. A range with `data-log` stands for powers of ten; one with `data-off` means
// "off" at its upper end.
import { short } from "./format.js";

/** @typedef {Record<string, string>} Settings */

/** The form of a room: its settings as text, to and from the address. */
export class Controls {
  /** @type {Map<string, HTMLInputElement | HTMLSelectElement>} */
  #fields = new Map();
  #slow = false;

  /**
   * @param {HTMLFormElement} form
   * @param {object} reactions
   * @param {(name: string, moving: boolean) => void} reactions.changed Moving: a slider, which may go on
   * @param {() => void} reactions.rested A slider has come to its place
   * @param {(message: string) => void} reactions.refused A number that is none of the field's
   */
  constructor(form, { changed, rested, refused }) {
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const field of /** @type {any} */ (form.querySelectorAll("[name]"))) {
      this.#fields.set(field.name, field);
      if (field.type === "number") {
        bindNumber(field, { changed: () => changed(field.name, false), refused });
        continue;
      }
      field.addEventListener("input", () => {
        this.#show(field);
        changed(field.name, field.type === "range");
      });
      if (field.type === "range") field.addEventListener("change", rested);
    }
  }

  /** Whether the settings can be changed. @param {boolean} enabled */
  enable(enabled) {
    for (const field of this.#fields.values()) field.disabled = !enabled;
  }

  /** @returns {Settings} */
  get settings() {
    return Object.fromEntries([...this.#fields].map(([name, field]) => [name, read(field)]));
  }

  /** @param {string} name @returns {number} */
  number(name) {
    return Number(read(/** @type {any} */ (this.#fields.get(name))));
  }

  /** Settings that differ from the defaults. */
  get changed() {
    const entries = [...this.#fields].map(([name, field]) => [name, read(field), this.#usual(field)]);
    return new Map(entries.filter(([, now, usual]) => now !== usual).map(([name, now]) => [name, now]));
  }

  /** @param {Map<string, string>} state From the address; what it lacks or misstates gets its default. @param {boolean} slow */
  apply(state, slow) {
    this.#slow = slow;
    for (const [name, field] of this.#fields) {
      write(field, state.get(name) ?? this.#usual(field), this.#usual(field));
      this.#show(field);
    }
  }

  /** Whether the address says nothing of a setting that is smaller on a slow device. */
  get reduced() {
    return this.#slow && [...this.#fields.values()].some((f) => f.dataset.small && read(f) === f.dataset.small);
  }

  /** @param {string} name @param {string} value */
  set(name, value) {
    const field = /** @type {any} */ (this.#fields.get(name));
    write(field, value, this.#usual(field));
    this.#show(field);
  }

  /** @param {string} name @param {string[]} values */
  options(name, values) {
    const field = /** @type {HTMLSelectElement} */ (this.#fields.get(name));
    field.replaceChildren(...values.map((value) => new Option(value, value)));
  }

  #usual(field) {
    if (this.#slow && field.dataset.small) return field.dataset.small;
    if (field instanceof HTMLSelectElement) {
      return ([...field.options].find((option) => option.defaultSelected) ?? field.options[0])?.value ?? "";
    }
    return stated(field, field.dataset.default ?? field.defaultValue);
  }

  #show(field) {
    const output = field.parentElement.querySelector("output");
    if (!output) return;
    const value = read(field);
    output.value = Number.isNaN(Number(value)) ? value : short(Number(value));
    field.setAttribute("aria-valuetext", output.value);
  }
}

/** A control's raw value as the setting it states. */
function stated(field, raw) {
  if (field.dataset.off && Number(raw) >= Number(field.max)) return field.dataset.off;
  return field.dataset.log === undefined ? raw : String(Number((10 ** Number(raw)).toPrecision(2)));
}

function read(field) {
  return stated(field, field.type === "number" ? (field.dataset.valid ?? field.defaultValue) : field.value);
}

/**
 * A field of numbers that keeps its last valid one: what is typed is told of if it is none, and put back at the end.
 * @param {HTMLInputElement} field @param {{changed: (value: number) => void, refused: (message: string) => void}} reactions
 */
export function bindNumber(field, { changed, refused }) {
  field.dataset.valid = field.value;
  field.addEventListener("input", () => {
    const valid = field.value !== "" && field.checkValidity();
    field.toggleAttribute("aria-invalid", !valid);
    if (!valid) return refused(expected(field));
    refused("");
    field.dataset.valid = field.value;
    changed(Number(field.value));
  });
  field.addEventListener("change", () => {
    field.value = field.dataset.valid ?? "";
    field.toggleAttribute("aria-invalid", false);
  });
}

/** @param {HTMLInputElement} field */
function expected({ min, max, step, labels, validity, value }) {
  const kind = step === "1" ? "a whole number" : "a number";
  const got = validity.badInput || value === "" ? "" : `, got ${value}`;
  return `${labels?.[0]?.textContent?.trim() ?? ""}: expected ${kind} from ${min} to ${max}${got}.`;
}

/** Sets a field of numbers. @param {HTMLInputElement} field @param {string} value */
export function showValue(field, value) {
  field.dataset.valid = value;
  // Not under the hands of who types.
  if (document.activeElement !== field) field.value = value;
}

function write(field, value, usual) {
  if (field instanceof HTMLSelectElement) {
    field.value = [...field.options].some((option) => option.value === value) ? value : usual;
    return;
  }
  if (field.type === "hidden") {
    field.value = value;
    return;
  }
  if (field.dataset.off && value === field.dataset.off) {
    field.value = field.max;
    return;
  }
  const raw = (text) => (field.dataset.log === undefined ? Number(text) : Math.log10(Number(text)));
  const given = value.trim() !== "" && Number.isFinite(raw(value)) ? raw(value) : raw(usual);
  const within = Math.min(Number(field.max), Math.max(Number(field.min), given));
  if (field.type !== "number") field.value = String(within);
  else field.value = field.dataset.valid = Number.isInteger(within) ? String(within) : usual;
}
