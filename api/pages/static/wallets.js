// The wallets of this browser, as they announce themselves (EIP-6963), and what the till asks of one (EIP-1193).

const NOT_ADDED = 4902; // EIP-3326's error for a chain that the wallet does not know

/**
 * Hear of every wallet, those that come late too.
 * @param {(wallet: {info: {uuid: string, name: string, icon: string, rdns: string}, provider: object}) => void} tell
 */
export function discover(tell) {
  const known = new Set();
  addEventListener("eip6963:announceProvider", (event) => {
    const { info, provider } = event.detail;
    if (known.has(info.uuid)) return;
    known.add(info.uuid);
    tell({ info, provider });
  });
  dispatchEvent(new Event("eip6963:requestProvider"));
}

/** Ask for the account that pays. Some wallets show a window for it. */
export async function account(provider) {
  const [address] = await provider.request({ method: "eth_requestAccounts" });
  return address;
}

/**
 * Have the wallet use a chain, and add it if it does not know it (EIP-3085).
 * @param {{id: string, name: string, rpcUrl: ?string, explorerUrl: ?string}} network
 */
export async function use(provider, network) {
  const chainId = `0x${chainIdOf(network.id).toString(16)}`;
  try {
    await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
  } catch (error) {
    const isUnknown = error.code === NOT_ADDED || error.data?.originalError?.code === NOT_ADDED;
    if (!isUnknown || !network.rpcUrl) throw error;
    const chain = {
      chainId,
      chainName: network.name,
      rpcUrls: [network.rpcUrl],
      nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
      ...(network.explorerUrl && { blockExplorerUrls: [network.explorerUrl] }),
    };
    await provider.request({ method: "wallet_addEthereumChain", params: [chain] });
    await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
  }
}

/** Sign typed data (EIP-712). */
export function sign(provider, address, typed) {
  return provider.request({ method: "eth_signTypedData_v4", params: [address, JSON.stringify(typed)] });
}

/** Sign a text (EIP-191). */
export function signText(provider, address, text) {
  const bytes = new TextEncoder().encode(text);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return provider.request({ method: "personal_sign", params: [`0x${hex}`, address] });
}

/** The chain id of a CAIP-2 name of an EVM chain. */
export function chainIdOf(network) {
  return BigInt(network.split(":")[1]);
}
