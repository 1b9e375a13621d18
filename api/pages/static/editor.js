// The form of a prompt: what it costs is asked while somebody types, and a button changes its part of the page only.
// The door gets the same form as without this module, and answers with the same page.

const PAUSE_MILLISECONDS = 500;

const form = document.getElementById("editor");
const estimate = document.getElementById("ask-estimate");
let asked = 0;
let timer;

/** Send the form as a button would, and return the page that comes back; null if it is not this one. */
async function ask(button) {
  const body = new URLSearchParams(new FormData(form));
  body.append(button.name, button.value);
  const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.getElementById("editor") ? page : null;
}

/** Take the named parts of a page, and what is wrong with each field. */
function take(page, names) {
  for (const name of names) {
    const old = form.querySelector(`[data-part="${name}"]`);
    const fresh = page.querySelector(`[data-part="${name}"]`);
    // What a screen reader was told is not told again.
    if (name === "problems" && old.textContent === fresh.textContent) continue;
    const open = [...old.querySelectorAll("details")].map((one) => one.open);
    old.replaceChildren(...fresh.childNodes);
    old.querySelectorAll("details").forEach((one, place) => { one.open ||= open[place] ?? false; });
  }
  for (const said of form.querySelectorAll("[id^='wrong-']")) {
    const now = page.getElementById(said.id);
    said.textContent = now?.textContent ?? "";
    said.hidden = now?.hidden ?? true;
  }
  for (const field of form.querySelectorAll("[aria-describedby]")) {
    const said = document.getElementById(field.getAttribute("aria-describedby").split(" ").at(-1));
    field.toggleAttribute("aria-invalid", Boolean(said && !said.hidden));
    if (said && !said.hidden) field.setAttribute("aria-invalid", "true");
  }
}

async function update(button, names) {
  clearTimeout(timer);
  asked += 1;
  const mine = asked;
  form.dataset.asking = "";
  try {
    const page = await ask(button);
    // What was asked later is answered by a later page.
    if (mine !== asked) return;
    if (page) take(page, ["problems", ...names]);
    else say("You are not signed in any more. Sign in in another tab, and go on here.");
  } catch {
    if (mine === asked) say("No reply: what you typed is still here. It is asked again while you type.");
  } finally {
    if (mine === asked) delete form.dataset.asking;
  }
}

function say(text) {
  const note = Object.assign(document.createElement("p"), { className: "note bad", textContent: text });
  form.querySelector('[data-part="problems"]').replaceChildren(note);
}

form.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-live]");
  if (!button) return;
  event.preventDefault();
  const { name } = button;
  const before = form.querySelectorAll(".input-row").length;
  await update(button, button.dataset.live.split(" "));
  const rows = form.querySelectorAll(".input-row");
  if (name === "use") document.getElementById("model").focus();
  else if (rows.length > before) rows[before].querySelector("input").focus();
});

form.addEventListener("input", (event) => {
  clearTimeout(timer);
  const isSearch = event.target.name.startsWith("models_");
  const button = isSearch ? document.getElementById("ask-models") : estimate;
  timer = setTimeout(() => update(button, [isSearch ? "models" : "estimate"]), PAUSE_MILLISECONDS);
});

form.dataset.ready = "";
