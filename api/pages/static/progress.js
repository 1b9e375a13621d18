// The page of an execution that has not ended: it says how far it is, shows text as it is made, and then the answer.

import { follow } from "./live.js";

const STATES = { settling: "Settling the payment", queued: "Waiting for its turn", running: "The model is working" };

const state = document.getElementById("state");
const ahead = document.getElementById("ahead");
const draft = document.getElementById("draft");

// An owner's test is followed at its status URL, from a page with another address.
await follow(document.getElementById("progress").dataset.url ?? location.href, {
  progress(said) {
    const words = STATES[said.event] ?? said.message?.replace(/\.$/, "");
    if (words && words !== state.textContent) state.textContent = words;
    const before = said.ahead ? `${said.ahead} ${said.ahead === 1 ? "call begins" : "calls begin"} before yours.` : "";
    if (ahead.textContent !== before) ahead.textContent = before;
  },
  text(more) {
    draft.hidden = false;
    draft.append(more);
  },
  again() {
    draft.replaceChildren();
  },
});
location.reload();
