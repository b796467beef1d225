// Keeps the ages of moments current: "3 min ago", with the exact time in the title. The server wrote the first ones.
(() => {
  "use strict";
  const UNITS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];

  function sayAge(seconds) {
    const whole = Math.abs(Math.round(seconds));
    const [, size, unit] = UNITS.find(([limit]) => whole < limit);
    const amount = `${Math.floor(whole / size)} ${unit}`;
    return seconds < 0 && whole ? `in ${amount}` : `${amount} ago`;
  }
  // The moment of the snapshot moves with every message; all others come with their title.
  function showExact(time) {
    const exact = new Date(time.dateTime).toUTCString().replace(/^\w+, 0?(.*) (\S+) GMT$/, "$1, $2 UTC");
    if (time.title !== exact) time.title = exact;
  }
  function showAges() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      if ("snapshotTime" in time.dataset) showExact(time);
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      const text = "due" in time.dataset && seconds >= 0 ? "now" : sayAge(seconds);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  showAges();
  setInterval(() => { if (!document.hidden) showAges(); }, 1000);
  document.addEventListener("visibilitychange", showAges);
})();
