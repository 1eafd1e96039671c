"use strict";
(() => {
  const first = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const cards = all("main article");
  const form = first("form.controls");
  const [name, label, least, cut] = ["#name", "#label", "#least", "#cut"].map((selector) => first(selector));
  const dialog = first("dialog");
  let kind = "";
  let at = null;

  const text = (selector, card) => first(selector, card)?.textContent ?? "";
  // Browsers round a slider's value, so near its end it hides nothing.
  const part = () => (least ? (least.value - least.min) / (least.max - least.min || 1) : 0);
  const moved = () => part() > 1e-3;
  const visible = () => cards.filter((card) => !card.hidden);

  function fits(card) {
    const { kind: own, score, label: folder } = card.dataset;
    return (!kind || own === kind)
      && text("h2", card).toLowerCase().includes(name.value.trim().toLowerCase())
      && (!label?.value || folder === label.value)
      && (score === undefined || !moved() || Number(score) >= Number(least.value) - 1e-6 * (least.max - least.min));
  }

  function filter() {
    for (const card of cards) card.hidden = !fits(card);
    const count = visible().length;
    const above = moved() ? `, scores from ${Number(least.value).toPrecision(3)}` : "";
    first("#count").textContent = `${count} of ${cards.length} shown${above}`;
    first("#none").hidden = count > 0;
    if (!least) return;
    const x = part() * cut.ownerSVGElement.viewBox.baseVal.width;
    cut.setAttribute("x1", x);
    cut.setAttribute("x2", x);
    cut.style.visibility = above ? "visible" : "hidden";
  }

  function enlarge(card) {
    at = card;
    first("#large").textContent = text("h2", card);
    const verdict = text(".badges", card) ? all(".badge", card).map((badge) => badge.textContent) : [];
    first("#said").textContent = [text(".rank", card), text(".score", card), ...verdict].filter(Boolean).join(" \u00b7 ");
    const figures = all("figure", card).map((figure) => figure.cloneNode(true));
    first(".large", dialog).replaceChildren(...figures);
    if (!dialog.open) dialog.showModal();
  }

  function step(by) {
    const enlargeable = visible().filter((card) => first("figure", card));
    const next = enlargeable[enlargeable.indexOf(at) + by];
    if (next) enlarge(next);
  }

  for (const card of cards) {
    const pictures = first(".pictures", card);
    if (!first("figure", pictures)) continue;
    pictures.addEventListener("click", () => enlarge(card));
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "enlarge";
    button.setAttribute("aria-label", `enlarge ${text("h2", card)}`);
    button.addEventListener("click", () => enlarge(card));
    const badges = first(".badges", card);
    (badges.childElementCount ? badges : first("header", card)).append(button);
  }

  for (const button of all("[data-kind]", form)) {
    button.addEventListener("click", () => {
      kind = button.dataset.kind;
      for (const item of all("[data-kind]", form)) item.setAttribute("aria-pressed", String(item === button));
      filter();
    });
  }
  for (const field of [name, label, least]) field?.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());

  first("#close").addEventListener("click", () => dialog.close());
  first("#previous").addEventListener("click", () => step(-1));
  first("#next").addEventListener("click", () => step(1));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });

  document.documentElement.classList.add("js");
  form.hidden = false;
  if (least) least.hidden = least.min === least.max;
})();
