// The till: check the inputs, have the wallet sign one payment, and send it until there is a clear answer.

import { BadFile, chooserOf, dataUrl } from "./files.js";
import { authorizationOf, headerOf, offerOf, typedData } from "./payments.js";
import { find, forget, keep } from "./purchases.js";
import { walletChoice } from "./wallet_choice.js";
import { account, discover, sign, use } from "./wallets.js";

const TRIES = 5;
const USER_REJECTED = 4001; // EIP-1193

const form = document.getElementById("till");
const pay = document.getElementById("pay");
const said = document.getElementById("said");
const networks = JSON.parse(form.dataset.networks);
const url = form.dataset.url;
const label = pay.textContent;
const found = new Map();

/** Say something below the button. `actions` are buttons or links to put after it. */
function say(text, kind = "", ...actions) {
  said.className = `note ${kind}`;
  said.replaceChildren(text, ...actions.flatMap((action) => [" ", action]));
  said.hidden = false;
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet tiny";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

/** An error whose text a person reads; `fields` has a sentence for each input that is wrong. */
class Refused extends Error {
  constructor(text, fields) {
    super(text);
    this.fields = fields ?? {};
  }
}

/** The file that was chosen instead of an address, as a `data:` URL; undefined if there is none. */
async function fileOf(element) {
  try {
    return await dataUrl(element);
  } catch (error) {
    if (!(error instanceof BadFile)) throw error;
    throw new Refused("Please look at the fields above.", { [element.name]: error.message });
  }
}

async function inputsOf() {
  const inputs = {};
  for (const element of form.elements) {
    if (!element.dataset?.kind) continue;
    const value = (await fileOf(element)) ?? element.value;
    if (value !== "") inputs[element.name] = value;
  }
  return inputs;
}

function mark(fields) {
  let first = null;
  for (const element of form.elements) {
    if (!element.dataset?.kind) continue;
    const sentence = fields[element.name];
    const wrong = document.getElementById(`wrong-${element.name}`);
    element.setAttribute("aria-invalid", String(Boolean(sentence)));
    wrong.hidden = !sentence;
    wrong.textContent = sentence ?? "";
    if (sentence) first ??= element;
  }
  first?.focus();
}

/** Ask for the offer of exactly these inputs: what is wrong with them is said before anything is signed. */
async function ask(body) {
  const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  if (answer.status === 402) return { offer: offerOf(answer), now: Date.parse(answer.headers.get("Date")) / 1000 };
  const problem = await answer.json();
  throw new Refused(answer.status === 400 ? "Please look at the fields above." : problem.error, problem.fields);
}

/** Have the wallet sign a payment for this offer. */
async function signed(provider, { offer, now }) {
  const from = await account(provider);
  let refusal = new Refused("This is not sold on a network of your wallet.");
  for (const terms of offer.accepts) {
    const network = networks.find((one) => one.id === terms.network);
    if (!network) continue;
    try {
      await use(provider, network);
    } catch (error) {
      if (error.code === USER_REJECTED) throw error;
      refusal = new Refused(`Your wallet does not know ${network.name}: add it there, and try again.`);
      continue;
    }
    const authorization = authorizationOf(terms, from, now);
    const signature = await sign(provider, from, typedData(terms, authorization));
    return headerOf(offer, terms, authorization, signature);
  }
  throw refusal;
}

/** Send a purchase, again and again while nothing clear comes back: it is charged once, however often it is sent. */
async function send(purchase) {
  for (let tried = 0; tried < TRIES; tried += 1) {
    if (tried) {
      say("The reply got lost. Asking again with the same payment; do not pay again.", "warn");
      await new Promise((done) => setTimeout(done, 500 * 2 ** tried));
    }
    let answer;
    let body;
    try {
      answer = await fetch(url, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "PAYMENT-SIGNATURE": purchase.header,
          Prefer: "respond-async",
          // Events, so that the text can be read while it is made; where there is no room for readers, without.
          Accept: tried ? "application/json" : "text/event-stream, application/json",
        },
        body: purchase.body,
      });
      const place = answer.headers.get("Content-Location");
      if (place) {
        await forget(url).catch(() => {}); // the page of the purchase matters more
        location.assign(place);
        return;
      }
      body = await answer.json();
    } catch {
      continue;
    }
    if ([400, 402, 409].includes(answer.status)) {
      await forget(url);
      throw new Refused(body.error, body.fields);
    }
    if (answer.status === 429) {
      unfinished(purchase, body.error);
      return;
    }
  }
  unfinished(purchase, "No clear reply came.");
}

/** Say that a purchase waits for its answer, and offer to ask again with the same payment. */
function unfinished(purchase, why) {
  pay.hidden = true;
  say(
    `${why} You have signed a payment of ${purchase.price} USDC for this already: do not pay again. The same payment is charged once or not at all.`,
    "warn",
    button("Ask again with the same payment", () => attempt(() => send(purchase))),
    ...(purchase.until < Date.now() / 1000 ? [button("Forget it", () => forget(url).then(() => location.reload()))] : []),
  );
}

async function buy() {
  mark({});
  const missing = [...form.elements].filter((one) => one.required && !one.value && !chooserOf(one)?.files.length);
  if (missing.length) {
    const fields = Object.fromEntries(missing.map((one) => [one.name, "Please fill this in."]));
    throw new Refused("Please look at the fields above.", fields);
  }
  const wallet = found.get(new FormData(form).get("wallet"));
  if (!wallet) throw new Refused("Choose a wallet first.");
  const body = JSON.stringify(await inputsOf());
  say("Checking what you wrote …");
  const asked = await ask(body);
  say(`Your wallet asks you to sign ${form.dataset.price} USDC …`);
  const header = await signed(wallet.provider, asked);
  const until = asked.now + Math.max(...asked.offer.accepts.map((terms) => terms.maxTimeoutSeconds));
  const purchase = { url, body, header, price: form.dataset.price, until };
  await keep(purchase);
  say("Paying …");
  await send(purchase);
}

/** Do one thing at a time, and say how it failed. */
async function attempt(work) {
  pay.disabled = true;
  pay.textContent = "One moment …";
  try {
    await work();
  } catch (error) {
    if (error instanceof Refused) {
      mark(error.fields);
      say(error.message, "bad");
    } else if (error?.code === USER_REJECTED) {
      say("You declined in your wallet. Nothing was charged.");
    } else {
      say(`That did not work: ${error?.message ?? "no reply"}. Nothing was charged.`, "bad");
    }
  } finally {
    pay.disabled = false;
    pay.textContent = label;
  }
}

function offerWallet(wallet) {
  found.set(wallet.info.uuid, wallet);
  walletChoice(wallet, found.size === 1);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(buy);
});
document.getElementById("no-wallet").hidden = false;
pay.hidden = false;
discover(offerWallet);
const waiting = await find(url);
if (waiting) unfinished(waiting, "A payment waits for its answer.");
form.dataset.ready = "";
