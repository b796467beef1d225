// Keeps what is half typed in a form until the server has accepted it: through the reload of another button, a refusal
// and a sign-in. It forgets all of it when somebody signs out.
(() => {
  "use strict";
  const sent = sessionStorage.getItem("sent");
  if (sent && document.querySelector(".note[data-state=success]")) sessionStorage.removeItem(sent);
  sessionStorage.removeItem("sent");
  document.querySelector("form.who")?.addEventListener("submit", () => sessionStorage.clear());

  const canHold = (field, value) => !field.matches("select") || [...field.options].some((one) => one.value === value && !one.disabled);
  function keep(form) {
    const key = `kept ${form.dataset.keep}`;
    const fields = [...form.elements].filter((field) => field.name && field.matches("textarea, select, input:not([type=hidden])"));
    const save = () => sessionStorage.setItem(key, JSON.stringify(Object.fromEntries(fields.map(({ name, value }) => [name, value]))));
    form.addEventListener("input", save);
    form.addEventListener("submit", () => sessionStorage.setItem("sent", key));
    if (form.querySelector(".error")) return save();
    // An address that asks for something, such as an earlier question, is to have it.
    const kept = location.search ? null : JSON.parse(sessionStorage.getItem(key));
    for (const field of kept ? fields : []) {
      const value = kept[field.name];
      if (!value || value === field.value || !canHold(field, value)) continue;
      field.value = value;
      field.closest("details")?.setAttribute("open", "");
      // Whatever follows the typing follows this too.
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("form[data-keep]").forEach(keep));
})();
