// Keeps what is half typed in a form while another of the page's buttons loads the page anew; until the form is sent.
(() => {
  "use strict";
  for (const form of document.querySelectorAll("form[data-keep]")) {
    const key = `kept ${location.pathname}${location.search} ${form.dataset.keep}`;
    const fields = [...form.elements].filter((field) => field.name && field.matches("textarea, select, input:not([type=hidden])"));
    // What the server refused stands there already, with its reasons.
    const kept = form.querySelector(".error") ? null : JSON.parse(sessionStorage.getItem(key));
    form.addEventListener("input", () => {
      sessionStorage.setItem(key, JSON.stringify(Object.fromEntries(fields.map((field) => [field.name, field.value]))));
    });
    for (const field of fields.filter(({ name }) => kept && name in kept)) field.value = kept[field.name];
    // Whatever follows the typing follows this too.
    if (kept) for (const field of fields) field.dispatchEvent(new Event("input", { bubbles: true }));
    form.addEventListener("submit", () => sessionStorage.removeItem(key));
  }
})();
