// Keeps the page's fragments as the server renders them. It holds no HTML and no rules: it replaces, marks what
// changed, and says how fresh the page is. Without it every page works and is simply not live.
(() => {
  "use strict";
  const { page, socket: socketPath, poll: pollPath } = document.body.dataset;
  const STALE_MS = 10000, POLL_MS = 3000, RETRY_MAX_MS = 30000;
  const SIGNED_OUT = 4403, NO_SUCH_PAGE = 4404;
  let sequence = null, etag = document.body.dataset.fingerprint, retryMs = 1000, over = "", current = null;
  let generatedAt = Date.parse(document.body.dataset.generatedAt), heardAt = Date.now();
  let transport = "polling", timer = null;

  function setText(selector, text) {
    for (const element of document.querySelectorAll(selector)) if (element.textContent !== text) element.textContent = text;
  }
  function showFreshness() {
    const stale = Date.now() - heardAt > STALE_MS;
    const state = over || stale ? "stale" : transport;
    const mark = document.querySelector("[data-live]");
    if (mark && mark.dataset.live !== state) mark.dataset.live = state;
    const since = new Date(heardAt).toLocaleTimeString("en-GB");
    setText("[data-live-word]", over ? over : stale ? `Stale since ${since}` : transport === "live" ? "Live" : "Polling");
    setText("[data-snapshot-state]", stale ? "stale" : "live");
    setText("[data-snapshot-age]", `${Math.max(0, Math.round((Date.now() - generatedAt) / 1000))}s`);
  }

  // Old nodes become what the new ones say, in place: focus, open details and scroll positions survive. Not idiomorph:
  // it needs an id on every row, and is larger than all scripts of ours together.
  function mark(element) {
    if (!element || element.closest("svg")) return;
    element.classList.remove("changed");
    void element.offsetWidth;
    element.classList.add("changed");
  }
  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== fresh.data) { old.data = fresh.data; if (fresh.data.trim()) mark(old.parentElement); }
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) return;
    if (old.nodeName === "TIME") {
      if (old.dateTime === fresh.dateTime) return;
      [old.dateTime, old.title, old.textContent] = [fresh.dateTime, fresh.title, fresh.textContent];
      if (!old.hasAttribute("data-snapshot-time")) mark(old);
      return;
    }
    // Whether details are open is the reader's to say.
    const isReaders = (name) => name === "open" && old.nodeName === "DETAILS";
    for (const { name, value } of fresh.attributes) {
      if (!isReaders(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (fresh.hasAttribute(name) || isReaders(name) || name === "class") continue;
      old.removeAttribute(name);
    }
    if (old.matches("[data-snapshot-age], [data-snapshot-state]")) return;
    morphChildren(old, fresh);
  }
  function morphChildren(old, fresh) {
    const keyed = new Map([...old.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
    // What is gone goes first: then those that stay need not be moved, which would take the focus from them.
    const wanted = new Set([...fresh.children].map((child) => child.dataset.key));
    for (const [key, child] of keyed) if (!wanted.has(key)) { child.remove(); keyed.delete(key); }
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      const key = next.dataset?.key;
      const match = key ? keyed.get(key) : at?.dataset?.key ? null : at;
      if (!match) { old.insertBefore(next, at); if (next.nodeType === 1) mark(next); continue; }
      if (match !== at) old.insertBefore(match, at); else at = at.nextSibling;
      morph(match, next);
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  }

  function apply(message) {
    for (const [name, { html }] of Object.entries(message.fragments)) {
      const old = document.querySelector(`[data-panel="${CSS.escape(name)}"]`);
      const template = document.createElement("template");
      template.innerHTML = html;
      if (old && template.content.firstElementChild) morph(old, template.content.firstElementChild);
    }
    etag = message.fingerprint;
    setText("[data-page-fingerprint]", etag);
    heard(message.generated_at);
  }
  function heard(at) {
    heardAt = Date.now();
    generatedAt = Date.parse(at);
    for (const time of document.querySelectorAll("[data-snapshot-time]")) time.dateTime = at;
    showFreshness();
  }
  function have() {
    return Object.fromEntries([...document.querySelectorAll("[data-panel]")].map((panel) => [panel.dataset.panel, panel.dataset.fingerprint]));
  }

  function connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${socketPath}`);
    const greet = () => socket.send(JSON.stringify({ page, have: have() }));
    current = socket;
    socket.onopen = () => { sequence = null; greet(); };
    socket.onmessage = ({ data }) => {
      if (socket !== current) return;
      const message = JSON.parse(data);
      if (message.since !== null && message.since !== sequence) { sequence = null; return greet(); }
      sequence = message.sequence;
      transport = "live";
      retryMs = 1000;
      apply(message);
      if (message.ack) socket.send(JSON.stringify({ ack: message.sequence }));
    };
    socket.onclose = ({ code }) => {
      transport = "polling";
      showFreshness();
      if (code === SIGNED_OUT || code === NO_SUCH_PAGE) return end(code === SIGNED_OUT);
      setTimeout(connect, retryMs);
      retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    };
  }

  function end(signedOut) {
    over = signedOut ? "Signed out: reload" : "No longer there";
    showFreshness();
  }

  async function poll() {
    clearTimeout(timer);
    if (transport === "live" && Date.now() - heardAt > STALE_MS) {
      // Open, but nothing comes through it any more: what follows comes another way.
      transport = "polling";
      current.close();
      current = null;
    }
    if (transport === "polling" && !over) {
      const list = Object.entries(have()).map((pair) => pair.join(":")).join(",");
      try {
        const answer = await fetch(`${pollPath}?have=${encodeURIComponent(list)}`, {
          headers: { "If-None-Match": `"${etag}"` }, cache: "no-store", credentials: "same-origin",
        });
        if (transport !== "polling") { /* the socket was faster */ }
        else if (answer.status === 304) heard(answer.headers.get("X-Generated-At"));
        else if (answer.ok) apply(await answer.json());
        else if ([401, 403, 404].includes(answer.status)) end(answer.status !== 404);
      } catch { /* the mark says since when the page is stale */ }
    }
    timer = setTimeout(poll, POLL_MS);
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelectorAll("details.hint[open]").forEach((hint) => { hint.open = false; });
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest(".messages")) event.target.closest(".note")?.remove();
    document.querySelectorAll("details.hint[open]").forEach((hint) => { if (!hint.contains(event.target)) hint.open = false; });
  });
  document.addEventListener("animationend", (event) => event.target.classList.remove("changed"));

  // A draft is kept as it is edited: the server says what it would change.
  let edits = 0;
  document.addEventListener("change", async ({ target }) => {
    const form = target.form;
    if (!form?.dataset.draft) return;
    const edit = ++edits;
    try {
      const answer = await fetch(form.action, {
        method: "POST", body: new FormData(form), headers: { "X-Fragment": form.dataset.draft }, credentials: "same-origin",
      });
      const template = document.createElement("template");
      template.innerHTML = answer.ok ? await answer.text() : "";
      const fresh = template.content.firstElementChild;
      if (edit === edits && fresh?.id === form.dataset.draft) morph(document.getElementById(form.dataset.draft), fresh);
    } catch { /* the button does the same */ }
  });

  if (!page) return;
  setInterval(showFreshness, 1000);
  connect();
  timer = setTimeout(poll, POLL_MS);
})();
