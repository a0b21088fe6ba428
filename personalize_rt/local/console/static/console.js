// What htmx does not do: the theme, the copy buttons, and the rhythm of the live view. Without it, the page works too.
"use strict";
(() => {
  const root = document.documentElement;
  const store = {
    get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem("theme", theme); } catch { /* not kept, then */ } },
  };
  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const chosen = store.get();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen; // before anything is painted
  root.classList.add("scripted");

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => button.setAttribute("aria-label", dark() ? "Use the light theme" : "Use the dark theme");
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      store.set(root.dataset.theme);
      label();
    });
    showCopy(document);
  });

  const showCopy = (part) => part.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
  document.addEventListener("htmx:load", (event) => showCopy(event.target));

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const code = button.closest(".python").querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  // The live view asks while somebody looks at it, and not while a row is open.
  setInterval(() => {
    const feed = document.getElementById("feed");
    if (!feed || document.hidden || feed.querySelector("details[open]") || feed.contains(document.activeElement)) return;
    htmx.trigger("#feed-frame", "tick");
  }, 2000);
  document.addEventListener("htmx:configRequest", (event) => {
    const feed = document.getElementById("feed");
    if (event.detail.elt.id === "feed-frame") event.detail.parameters.set?.("seen", feed.dataset.state);
  });

  // An answer that is an error is shown in its place, too.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 422) event.detail.shouldSwap = true;
  });
  document.addEventListener("htmx:sendError", () => { root.classList.add("gone"); });
  document.addEventListener("htmx:afterOnLoad", () => { root.classList.remove("gone"); });
  document.addEventListener("htmx:afterSwap", (event) => {
    const box = document.getElementById("expression");
    if (box && event.target.id === "verdict") box.setAttribute("aria-invalid", String(!!event.target.querySelector(".bad")));
  });
})();
