// The page of an execution that has not ended: it says how far it is, and shows the end when there is one.

import { follow } from "./live.js";

const state = document.getElementById("state");
const ahead = document.getElementById("ahead");

await follow(location.href, (said) => {
  if (said.state !== "processing") return;
  if (said.message) state.textContent = said.message.replace(/\.$/, "");
  const before = said.ahead ? `${said.ahead} ${said.ahead === 1 ? "call begins" : "calls begin"} before yours.` : "";
  if (ahead.textContent !== before) ahead.textContent = before;
});
location.reload();
