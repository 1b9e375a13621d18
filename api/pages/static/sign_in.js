// Signing in with a wallet: it signs one message (EIP-4361), which moves nothing.

import { account, discover, signText } from "./wallets.js";
import { walletChoice } from "./wallet_choice.js";

const USER_REJECTED = 4001; // EIP-1193

const form = document.getElementById("sign-in");
const button = document.getElementById("sign");
const said = document.getElementById("said");
const newAccount = document.getElementById("new-account");
const found = new Map();

function say(text, kind = "") {
  said.className = `note ${kind}`;
  said.textContent = text;
  said.hidden = !text;
}

async function post(url, body) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
  const document = await answer.json();
  return { ok: answer.ok, document };
}

/** Ask for the message, have it signed, and open the desk. */
async function signIn() {
  const chosen = found.get(new FormData(form).get("wallet"));
  if (!chosen) return say("Choose a wallet first.", "bad");
  const address = await account(chosen.provider);
  const asked = await post(form.dataset.nonce, { address });
  if (!asked.ok) return say(asked.document.error, "bad");
  say("Your wallet asks you to sign a message …");
  const signature = await signText(chosen.provider, address, asked.document.message);
  const fields = Object.fromEntries(
    ["handle", "invite"].map((name) => [name, form.elements[name]?.value.trim()]).filter(([, value]) => value),
  );
  const signed = await post(form.dataset.url, { message: asked.document.message, signature, ...fields });
  if (signed.ok) {
    const again = document.getElementById("again"); // what was typed before the session ended
    return again ? again.submit() : location.assign(form.dataset.to);
  }
  return refused(signed.document);
}

/** Say why not; a wallet that is new chooses a name first, where the operator lets it. */
function refused(problem) {
  const fields = problem.fields ?? {};
  const isNew = newAccount && ("handle" in fields || "invite" in fields);
  const wasHidden = newAccount?.hidden;
  if (isNew) newAccount.hidden = false;
  for (const name of ["handle", "invite"]) {
    const wrong = document.getElementById(`wrong-${name}`);
    if (!wrong) continue;
    wrong.textContent = fields[name] ?? "";
    wrong.hidden = !fields[name] || wasHidden;
  }
  if (isNew) form.elements.handle.focus();
  say(isNew ? "" : problem.error, "bad");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  try {
    await signIn();
  } catch (error) {
    if (error?.code === USER_REJECTED) say("You declined in your wallet.");
    else say(`That did not work: ${error?.message ?? "no reply"}.`, "bad");
  } finally {
    button.disabled = false;
  }
});
document.getElementById("no-wallet").hidden = false;
button.hidden = false;
discover((wallet) => {
  found.set(wallet.info.uuid, wallet);
  walletChoice(wallet, found.size === 1);
});
form.dataset.ready = "";
