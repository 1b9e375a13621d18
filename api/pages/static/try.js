// "Try it" with files: a chosen file is sent as its `data:` URL, in the field of its address. Without this module only
// addresses are taken.

import { BadFile, dataUrl } from "./files.js";

const form = document.getElementById("try");
for (const chooser of form.querySelectorAll('input[type="file"]')) chooser.hidden = false;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  let first = null;
  for (const element of form.querySelectorAll("[data-kind]")) {
    const wrong = document.getElementById(`wrong-${element.name}`);
    try {
      element.value = (await dataUrl(element)) ?? element.value;
      wrong.hidden = true;
    } catch (error) {
      if (!(error instanceof BadFile)) throw error;
      wrong.textContent = error.message;
      wrong.hidden = false;
      first ??= element;
    }
  }
  if (first) first.focus();
  else form.submit();
});
form.dataset.ready = "";
