// Says how a task would be judged while its success check is typed. The words are the server's.
(() => {
  "use strict";
  const form = document.querySelector("form[data-check]");
  if (!form) return;
  const PAUSE_MS = 300;
  let timer = null, asked = 0;

  async function ask() {
    const ask = ++asked;
    try {
      const answer = await fetch(form.dataset.check, {
        method: "POST", body: new FormData(form), headers: { "X-Fragment": "check-words" }, credentials: "same-origin",
      });
      const template = document.createElement("template");
      template.innerHTML = answer.ok ? await answer.text() : "";
      const fresh = template.content.firstElementChild, shown = document.getElementById("check-words");
      if (ask === asked && fresh?.id === shown?.id && shown && fresh.textContent !== shown.textContent) {
        shown.replaceChildren(...fresh.childNodes);
      }
    } catch { /* the button does the same */ }
  }
  form.addEventListener("input", ({ target }) => {
    if (!target.closest("[data-check-fields]")) return;
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  });
})();
