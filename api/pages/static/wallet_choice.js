// The wallets of this browser, to choose one: in the till, and to sign in.

/** Show a wallet that has announced itself as one to choose. */
export function walletChoice({ info }, isFirst) {
  const choice = document.createElement("label");
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: "wallet", value: info.uuid });
  radio.checked = isFirst;
  const icon = Object.assign(document.createElement("img"), { alt: "" });
  if (/^data:image\//.test(info.icon)) icon.src = info.icon;
  choice.append(radio, icon, info.name);
  const wallets = document.getElementById("wallets");
  wallets.append(choice);
  wallets.hidden = false;
  document.getElementById("no-wallet").hidden = true;
}
