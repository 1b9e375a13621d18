// The practice wallet: it announces itself as any wallet does (EIP-6963), and the practice facilitator signs for it.
// Its money is worthless, so its account is a name that this browser keeps, and whoever has the name may sign.

const server = new URL("wallet", import.meta.url);
const name = (localStorage["practice-wallet"] ??= crypto.randomUUID());

const provider = {
  async request({ method, params = [] }) {
    const answer = await fetch(server, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ account: name, method, params }),
    });
    const { result, error } = await answer.json();
    if (error) throw Object.assign(new Error(error.message), { code: error.code });
    return result;
  },
  on() {},
  removeListener() {},
};

const icon = "data:image/svg+xml," + encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" fill="#b45309"/><path d="M6 8h12v9H6z M6 8l9-3v3" fill="none" stroke="#fff" stroke-width="1.6"/><circle cx="15" cy="12.5" r="1.3" fill="#fff"/></svg>',
);
const info = Object.freeze({ uuid: crypto.randomUUID(), name: "Practice wallet", icon, rdns: "practice.wallet" });

function announce() {
  dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
}

addEventListener("eip6963:requestProvider", announce);
announce();
