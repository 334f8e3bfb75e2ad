// Keeps a page up to date while it is looked at. Every page works without it: what it brings is what a reload would bring.
"use strict";

(() => {
  const live = document.querySelector("[data-live-from]");
  const regions = () => document.querySelectorAll("[data-live]");
  let source = null;
  let waiting = null;
  let busy = false;
  let again = false;
  let last = 0;

  // Parts of the page that a reload would change are put in place one by one: a row that is the same stays the same element, so
  // that focus, selection and what a screen reader has read stay where they are.
  const settle = (old, fresh) => {
    const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    const keyed = [...fresh.children].length > 0 && [...fresh.children].every((child) => child.id);
    if (!keyed) {
      if (old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.childNodes);
      return;
    }
    let place = null;
    for (const child of [...fresh.children]) {
      const held = byId.get(child.id);
      byId.delete(child.id);
      let next = held;
      if (!held) next = child;
      else if (held.dataset.is !== child.dataset.is) {
        child.classList.add("changed");
        next = child;
      } else if (held.innerHTML !== child.innerHTML) next = child;
      if (held && next !== held) keepFocus(held, () => held.replaceWith(next), next);
      const wanted = place ? place.nextElementSibling : old.firstElementChild;
      if (wanted !== next) old.insertBefore(next, wanted);
      place = next;
    }
    for (const gone of byId.values()) gone.remove();
  };

  const keepFocus = (old, change, fresh) => {
    const at = old.contains(document.activeElement) ? [...old.querySelectorAll("a, button, input, select")].indexOf(document.activeElement) : -1;
    change();
    if (at >= 0) fresh.querySelectorAll("a, button, input, select")[at]?.focus();
  };

  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { "x-live": "1" }, credentials: "same-origin", redirect: "manual" });
      if (!answer.ok) {
        // Signed out, or gone: the next click says so.
        stop();
        show("no");
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of regions()) {
        const fresh = page.getElementById(old.id);
        if (fresh) settle(old, fresh);
      }
    } catch {
      show("no");
    } finally {
      busy = false;
      if (again) {
        again = false;
        soon();
      }
    }
  };

  // However much happens, a page is asked for once a second at the most.
  const soon = () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      last = Date.now();
      refresh();
    }, Math.max(150, last + 1000 - Date.now()));
  };

  const show = (on) => {
    const sign = document.getElementById("live");
    if (!sign) return;
    sign.dataset.on = on;
    sign.textContent = on === "yes" ? "Live" : "Not live";
    sign.hidden = false;
  };

  const start = () => {
    if (!live || source) return;
    source = new EventSource(live.dataset.liveFrom);
    source.addEventListener("open", () => show("yes"));
    source.addEventListener("news", soon);
    source.addEventListener("error", () => show("no"));
  };

  const stop = () => {
    source?.close();
    source = null;
  };

  if (live && regions().length > 0) {
    start();
    // A page that nobody looks at holds no connection.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) stop();
      else {
        start();
        soon();
      }
    });
    // "in 3 min" gets old without any event.
    setInterval(() => document.hidden || refresh(), 30000);
  }

  // A filter applies when it is chosen; the button stays for who has no script.
  for (const form of document.querySelectorAll("form[data-at-once]")) {
    form.addEventListener("change", (event) => {
      if (event.target.matches("select")) form.requestSubmit();
    });
  }

  // Copying, where the browser can.
  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      button.textContent = "Copied";
    });
  }

  // Escape puts away what shows an exact time.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.activeElement?.matches(".exact")) document.activeElement.blur();
  });
})();
